package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/config"
)

var update = flag.Bool("update", false, "write the table of the documentation anew")

// What stands between these lines of a page follows from the settings.
const (
	tableBegins = "<!-- settings: go test ./internal/config -update -->\n"
	tableEnds   = "<!-- end of settings -->\n"
)

func TestTheDocumentationListsEverySetting(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"../../README.md", "../../docs/configuration.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, begins := strings.Cut(string(text), tableBegins)
		table, after, ends := strings.Cut(rest, tableEnds)
		if !begins || !ends {
			t.Fatalf("%s lacks the lines around the table", page)
		}
		want := settingsTable()
		if *update {
			table = want
			if err := os.WriteFile(page, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, table); diff != "" {
			t.Errorf("%s, which -update writes anew (-want +got):\n%s", page, diff)
		}
	}
}

// settingsTable is the table of all settings, in Markdown.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("\n| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, s := range config.Settings() {
		variable, flag, byDefault := code(s.Env), code("--"+s.Flag), code(s.Default)
		if s.Secret {
			variable, flag = code(s.Env)+" or "+code(s.Env+"_FILE"), code("--"+s.Flag+"-file")
		}
		if s.Required {
			byDefault = "**required**"
		}
		meaning := strings.ReplaceAll(s.Usage, "|", `\|`)
		b.WriteString("| " + strings.Join([]string{variable, flag, byDefault, meaning}, " | ") + " |\n")
	}
	b.WriteString("\n")
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
