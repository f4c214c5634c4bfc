package authn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestBearerToken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxToken)
	rows := []struct {
		name   string
		header []string
		token  string
		code   string // when refused
	}{
		{"usual", []string{"Bearer abc.DEF-_1"}, "abc.DEF-_1", ""},
		{"lower case", []string{"bearer abc"}, "abc", ""},
		{"upper case", []string{"BEARER abc"}, "abc", ""},
		{"two spaces", []string{"Bearer  abc"}, "abc", ""},
		{"all of token68", []string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/==", ""},
		{"the longest", []string{"Bearer " + long}, long, ""},
		{"no header", nil, "", "missing_token"},
		{"an empty header", []string{""}, "", "missing_token"},
		{"the scheme alone", []string{"Bearer"}, "", "missing_token"},
		{"the scheme and a space", []string{"Bearer "}, "", "missing_token"},
		{"another scheme", []string{"Basic YTpi"}, "", "missing_token"},
		{"no scheme", []string{"abc.def.ghi"}, "", "missing_token"},
		{"a look-alike scheme", []string{"Вearer abc"}, "", "missing_token"},
		{"a scheme that only begins so", []string{"Bearerabc def"}, "", "missing_token"},
		{"a tab", []string{"Bearer\tabc"}, "", "missing_token"},
		{"two headers", []string{"Bearer abc", "Bearer abc"}, "", "invalid_token"},
		{"two headers, one empty", []string{"Bearer abc", ""}, "", "invalid_token"},
		{"two tokens", []string{"Bearer abc def"}, "", "invalid_token"},
		{"two credentials", []string{"Bearer abc, Bearer def"}, "", "invalid_token"},
		{"a trailing space", []string{"Bearer abc "}, "", "invalid_token"},
		{"a quoted token", []string{`Bearer "abc"`}, "", "invalid_token"},
		{"padding alone", []string{"Bearer =="}, "", "invalid_token"},
		{"padding inside", []string{"Bearer a=b"}, "", "invalid_token"},
		{"NUL", []string{"Bearer abc\x00"}, "", "invalid_token"},
		{"a line break", []string{"Bearer abc\r\nX: y"}, "", "invalid_token"},
		{"Unicode", []string{"Bearer äbc"}, "", "invalid_token"},
		{"bytes that are no text", []string{"Bearer \xff"}, "", "invalid_token"},
		{"too long", []string{"Bearer " + long + "a"}, "", "invalid_token"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			token, err := BearerToken(row.header)
			if diff := cmp.Diff(row.token, token); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			if row.code == "" {
				if err != nil {
					t.Errorf("BearerToken: %v", err)
				}
				return
			}
			wantError(t, err, registry.Unauthenticated, row.code)
		})
	}
}
