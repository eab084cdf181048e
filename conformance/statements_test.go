package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// statementColumns are the columns of statements.tsv.
const statementColumns = "statement\twhose\ttests\treason"

// TestStatements holds statements.tsv against the tests there are.
func TestStatements(t *testing.T) {
	text, err := os.ReadFile("statements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != statementColumns {
		t.Fatalf("first line: want %q, got %q", statementColumns, lines[0])
	}
	tests := testNames(t)
	number := regexp.MustCompile(`^MQTT-(\d+)\.(\d+)\.(\d+)-(\d+)$`)
	var last []int
	for i, line := range lines[1:] {
		bad := func(want string, got any) { t.Errorf("statements.tsv:%d: want %s, got %q", i+2, want, got) }
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			bad("4 columns", f)
			continue
		}
		statement, whose, named, reason := f[0], f[1], f[2], f[3]
		m := number.FindStringSubmatch(statement)
		if m == nil {
			bad("a number as in MQTT-1.5.3-1", statement)
			continue
		}
		var key []int
		for _, digits := range m[1:] {
			n, err := strconv.Atoi(digits)
			if err != nil {
				t.Fatal(err)
			}
			key = append(key, n)
		}
		if slices.Compare(last, key) >= 0 {
			bad("statements in order, each once", statement)
		}
		last = key
		if !slices.Contains([]string{"server", "client", "both"}, whose) {
			bad("server, client or both", whose)
		}
		if named == "-" {
			if strings.TrimSpace(reason) == "" {
				bad("a reason why there is no test of "+statement, reason)
			}
			continue
		}
		for name := range strings.SplitSeq(named, ", ") {
			if !tests[name] {
				bad("the name of a test in this package", name)
			}
		}
	}
	if want := 141; len(lines)-1 != want { // as many as the standard's Appendix B has
		t.Errorf("statements: want %d, got %d", want, len(lines)-1)
	}
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

// testNames are the tests of this package.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
