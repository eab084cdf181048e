package tidy

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestHouseRules(t *testing.T) {
	all := load(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, s := range all {
				report(t, rule(s))
			}
		})
	}
	t.Run("doc.go", func(t *testing.T) { report(t, docGoRule(all)) })
	t.Run("leak", func(t *testing.T) { report(t, leakRule(all)) })
}

func TestDocumentedCommandsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	texts, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range texts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		report(t, commandRule(filepath.Base(name), string(text), string(makefile)))
	}
}

func report(t *testing.T, found []string) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

// load parses all Go files of the module; other modules below it (tools, bench/peers)
// and what the build leaves behind are not ours to judge.
func load(t *testing.T) (all []*source) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			base := path.Base(rel)
			if rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || rel == "bin" || rel == "dist" || isModule(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(all, parse(t, rel, string(text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d Go files below %s: looking in the wrong place", len(all), root)
	}
	return all
}

// isModule reports whether a folder has a go.mod of its own.
func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func parse(t *testing.T, rel, text string) *source {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return &source{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), set: set, file: file}
}

// canaries are sources that a rule must refuse, and how often; an empty want
// must pass.
var canaries = []struct {
	rule, path, text string
	want             int
}{
	{"imports", "router/a.go", "package router\nimport \"" + module + "/loop\"", 1},
	{"imports", "loop/a.go", "package loop\nimport _ \"" + module + "/codec\"", 1},
	{"imports", "codec/a.go", "package codec\nimport \"golang.org/x/sys/unix\"", 1},
	{"imports", "loop/a.go", "package loop\nimport \"golang.org/x/system\"", 1},
	{"imports", "nowhere/a.go", "package nowhere", 1},
	{"imports", "bench/a.go", "package bench\nimport \"" + module + "/broker\"", 1},
	{"imports", "bench/a_test.go", "package bench\nimport \"" + module + "/broker\"", 0},
	{"imports", "loop/a.go", "package loop\nimport (\"" + module + "/internal/buf\"; \"golang.org/x/sys/unix\"; \"net/netip\")", 0},

	{"pure", "router/a.go", "package router\nimport \"sync\"", 1},
	{"pure", "router/topic/a.go", "package topic\nimport \"math/rand/v2\"", 1},
	{"pure", "codec/a.go", "package codec\nimport \"time\"\nvar _ = time.Now()", 1},
	{"pure", "codec/a.go", "package codec\nimport \"time\"\nfunc f() { time.Sleep(1) }", 1},
	{"pure", "router/a.go", "package router\nfunc f() { go f() }", 1},
	{"pure", "router/a.go", "package router\ntype t struct { c chan int }", 1},
	{"pure", "router/a.go", "package router\nfunc f() { select {} }", 1},
	{"pure", "router/a.go", "package router\nimport \"time\"\nconst d = time.Second", 0},
	{"pure", "loop/a.go", "package loop\nimport \"time\"\nvar _ = time.Now()", 0},

	{"starters", "client/other.go", "package client\nfunc f() { go f() }", 1},
	{"starters", "loop/evio_pass.go", "package loop\nimport \"time\"\nvar t = time.AfterFunc(1, nil)", 1},
	{"starters", "client/other_test.go", "package client\nfunc f() { go f() }", 0},

	{"long", "loop/a.go", "package loop\nfunc f() {" + strings.Repeat("\n", 80) + "}", 1},
	{"long", "loop/a.go", "package loop\nfunc f() {" + strings.Repeat("\n", 79) + "}", 0},
	{"long", "loop/a.go", "package loop\n// f is a table; tidy:long because each row is a line\nfunc f() {" + strings.Repeat("\n", 80) + "}", 0},
	{"long", "loop/a.go", "package loop" + strings.Repeat("\n", 501), 1},
	{"long", "loop/a.go", "// tidy:long because of a table\n\npackage loop" + strings.Repeat("\n", 501), 0},

	{"doc", "loop/a.go", "package loop\nfunc F() {}\ntype T struct{}\nconst C = 1\nfunc (T) M() {}", 4},
	{"doc", "loop/a.go", "package loop\ntype t[A any] struct{}\nfunc (*t[A]) M() {}", 0},
	{"doc", "loop/a.go", "package loop\n// Numbers.\nconst (\n A = 1\n B = 2\n)\nvar E = 1 // why", 0},

	{"todo", "loop/a.go", "package loop\n// TO" + "DO: later", 1},
	{"todo", "loop/a.go", "package loop\n// TO" + "DO: later, because the kernel lacks it", 0},

	{"state", "loop/a.go", "package loop\nvar cache = map[string]int{}", 1},
	{"state", "loop/a.go", "package loop\nvar (\n a, b int\n ErrX = error(nil)\n)", 2},
	{"state", "cmd/loopmq/a.go", "package main\nvar version = \"dev\"", 0},
	{"state", "codec/a.go", "package codec\n// names are printed; table: never written to.\nvar names = [...]string{\"a\"}\nvar _ error = nil", 0},
}

// TestRulesFire proves each rule on a source that breaks it.
func TestRulesFire(t *testing.T) {
	fired := map[string]bool{}
	for _, c := range canaries {
		found := rules[c.rule](parse(t, c.path, c.text))
		if len(found) != c.want {
			t.Errorf("rule %s over %s %q found %d, want %d: %q", c.rule, c.path, c.text, len(found), c.want, found)
		}
		fired[c.rule] = fired[c.rule] || len(found) > 0
	}
	for name := range rules {
		if !fired[name] {
			t.Errorf("rule %s has no canary that makes it fire", name)
		}
	}
	if found := docGoRule([]*source{parse(t, "loop/a.go", "package loop")}); len(found) != 1 {
		t.Errorf("a package without doc.go passes: %q", found)
	}
	if found := docGoRule([]*source{parse(t, "loop/doc.go", "// Package loop loops.\npackage loop")}); len(found) != 0 {
		t.Errorf("a package with doc.go is refused: %q", found)
	}
	starts := parse(t, "a/a_test.go", "package a\nfunc f() { go f() }")
	if found := leakRule([]*source{starts, parse(t, "b/a.go", "package b\nimport \"net\""), parse(t, "b/b_test.go", "package b")}); len(found) != 2 {
		t.Errorf("packages whose tests are not asked what they left: found %q, want a and b", found)
	}
	if found := leakRule([]*source{starts, parse(t, "a/b_test.go", "package a\nimport \""+module+"/internal/leak\"")}); len(found) != 0 {
		t.Errorf("a package with leak.Main is refused: %q", found)
	}
	makefile := "build: ## x\ntest: build\n"
	if found := commandRule("README.md", "`make build test` `make bild`\n\n    make X=1 test\n$ make nope\nso make sure\n", makefile); len(found) != 2 {
		t.Errorf("commands: found %q, want bild and nope", found)
	}
	mod := "go 1.26\n\nrequire (\n\ta/b/v2 v2.1.0\n\tc/d v1.0.0\n)\n\nrequire (\n\te/f v1.0.0 // indirect\n)\n"
	if found := moduleRule(mod, "| `a/b`, `e/f` | why |\nand `c/d`\n"); len(found) != 1 || !strings.Contains(found[0], "c/d") {
		t.Errorf("modules: found %q, want c/d", found)
	}
	if found := moduleRule("go 1.26\n", ""); len(found) != 1 {
		t.Errorf("a go.mod in which nothing is found passes: %q", found)
	}
}

// TestModulesAreJustified: each module that is required stands in ARCHITECTURE.md,
// with what it is for.
func TestModulesAreJustified(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "tools/go.mod", "bench/peers/go.mod"} {
		mod, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		direct, _, _ := strings.Cut(string(mod), ")\n\nrequire (")
		if name == "bench/peers/go.mod" {
			mod = []byte(direct) // what the peers need is for them to say
		}
		report(t, moduleRule(string(mod), string(text)))
	}
}
