package packaging_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/security.md names the tests that hold each promise. One that is renamed or
// moved must not leave a promise that nothing holds.
func TestEveryPromiseIsHeldByTestsThatExist(t *testing.T) {
	t.Parallel()
	page := read(t, "docs", "security.md")
	rows := regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(page, -1)
	if len(rows) == 0 {
		t.Fatal("docs/security.md has no table of promises")
	}
	test := regexp.MustCompile("`(Test(?:Invariant_([A-Z]\\d+)_)?\\w+)` \\(([\\w/]+)\\)")
	named := 0
	for _, row := range rows {
		promise, tests := row[1], test.FindAllStringSubmatch(row[2], -1)
		if len(tests) == 0 {
			t.Errorf("%s is held by nothing", promise)
		}
		for _, m := range tests {
			named++
			if m[2] != "" && m[2] != promise {
				t.Errorf("%s stands at %s", m[1], promise)
			}
			if !strings.Contains(testsOf(t, m[3]), "\nfunc "+m[1]+"(t *testing.T) {\n") {
				t.Errorf("%s has no test %s", m[3], m[1])
			}
		}
	}
	if all := strings.Count(page, "`Test"); all != named {
		t.Errorf("the page names %d tests, and %d of them in the table as `name` (package)", all, named)
	}
}

// testsOf is the text of all tests of a package.
func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}
