package conformance

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// statementColumns are the columns of statements.tsv.
const statementColumns = "version\tstatement\twhose\twords\ttests\treason"

// statementCounts are how many statements the Appendix B of each standard has.
var statementCounts = map[string]int{"3.1.1": 141, "5.0": 251} // table: never written

// statement is one row.
type statement struct {
	version, id, whose, words string
	tests                     []string // none: reason says why
	reason                    string
}

// readStatements reads statements.tsv, and says what is wrong with it.
func readStatements(t *testing.T) []statement {
	t.Helper()
	text, err := os.ReadFile("statements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != statementColumns {
		t.Fatalf("first line: want %q, got %q", statementColumns, lines[0])
	}
	var list []statement
	for i, line := range lines[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			t.Fatalf("statements.tsv:%d: want 6 columns, got %q", i+2, f)
		}
		s := statement{version: f[0], id: f[1], whose: f[2], words: f[3], reason: f[5]}
		if f[4] != "-" {
			s.tests = strings.Split(f[4], ", ")
		}
		list = append(list, s)
	}
	return list
}

// TestStatements holds statements.tsv against the tests there are.
func TestStatements(t *testing.T) {
	tests := testNames(t)
	counts := map[string]int{}
	var last []int
	for i, s := range readStatements(t) {
		bad := func(want string, got any) { t.Errorf("statements.tsv:%d: want %s, got %q", i+2, want, got) }
		if counts[s.version] == 0 {
			last = nil
		}
		counts[s.version]++
		key := statementKey(s.id)
		if key == nil || slices.Compare(last, key) >= 0 {
			bad("a number as in MQTT-1.5.3-1, in order, each once", s.id)
		}
		last = key
		if !slices.Contains([]string{"server", "client", "both"}, s.whose) {
			bad("server, client or both", s.whose)
		}
		if s.words == "" || s.tests == nil && s.reason == "" {
			bad("words, and a test or a reason why there is none", s.id)
		}
		for _, name := range s.tests {
			if !tests[name] {
				bad("the name of a test, behind its package where that is another", name)
			}
		}
	}
	if !maps.Equal(counts, statementCounts) {
		t.Errorf("statements: want %v, got %v", statementCounts, counts)
	}
}

// statementKey is the number of a statement to sort by; nil for none.
func statementKey(id string) (key []int) {
	m := regexp.MustCompile(`^MQTT-(\d+)\.(\d+)\.(\d+)-(\d+)$`).FindStringSubmatch(id)
	for i := 1; i < len(m); i++ {
		n, err := strconv.Atoi(m[i])
		if err != nil {
			return nil
		}
		key = append(key, n)
	}
	return key
}

// TestStatementsDocument holds docs/conformance.md against the table that it is
// made from; -update writes it.
func TestStatementsDocument(t *testing.T) {
	path := filepath.Join("..", "docs", "conformance.md")
	want := statementsDocument(readStatements(t))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s does not follow from statements.tsv (%v); run: make docs", path, err)
	}
}

var update = flag.Bool("update", false, "write docs/conformance.md") // table: a flag of the test

func statementsDocument(list []statement) string {
	var b strings.Builder
	b.WriteString(`# Conformance

Every normative statement of MQTT 3.1.1 and of MQTT 5.0, in words of ours, with
the tests that show it. The tests are in ` + "`conformance/`" + `: they send literal bytes
to a real broker over a real socket, on both engines, and check what comes back
to the byte, and that nothing else does; those of another package have its name in
front. Where there is no test the last column says why. Statements that bind clients are listed too: what a broker answers to
one that breaks them is tested where it can tell.

This file is made from ` + "`conformance/statements.tsv`" + ` by ` + "`make docs`" + `, and a test
fails when they differ, when a statement is missing, or when a test is.
`)
	version := ""
	for _, s := range list {
		if s.version != version {
			version = s.version
			tested := 0
			for _, o := range list {
				if o.version == version && o.tests != nil {
					tested++
				}
			}
			fmt.Fprintf(&b, "\n## MQTT %s\n\n%d statements, %d with tests.\n\n| statement | binds | what it says | tests |\n|---|---|---|---|\n",
				version, statementCounts[version], tested)
		}
		shown := strings.Join(s.tests, ", ")
		if s.reason != "" {
			shown = strings.TrimPrefix(shown+"; "+s.reason, "; ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.id, s.whose, s.words, shown)
	}
	return b.String()
}

// TestMosquittoDiffersNames: an exception whose test is gone is none.
func TestMosquittoDiffersNames(t *testing.T) {
	tests := testNames(t)
	for name := range mosquittoDiffers {
		if test, _, _ := strings.Cut(name, "/"); !tests[test] {
			t.Errorf("mosquittoDiffers: want the name of a test in this package, got %q", name)
		}
	}
}

// testNames are the tests of this package, and those of two others, with
// the package in front: what WebSocket has to do stands there.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, pkg := range []string{"", "loop/transport", "client"} {
		pattern, prefix := "*_test.go", ""
		if pkg != "" {
			pattern, prefix = filepath.Join("..", pkg, pattern), pkg+"."
		}
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
					names[prefix+f.Name.Name] = true
				}
			}
		}
	}
	return names
}
