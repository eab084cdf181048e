package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	functionLinesMax = 80
	fileLinesMax     = 500
)

// source is one parsed file.
type source struct {
	path, dir string // slash-separated, relative to the module's root
	test      bool
	set       *token.FileSet
	file      *ast.File
}

func (s *source) at(p token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.set.Position(p).Line) + fmt.Sprintf(format, args...)
}

// rules are run over every file.
var rules = map[string]func(*source) []string{
	"imports":  importRule,
	"pure":     pureRule,
	"starters": starterRule,
	"long":     longRule,
	"doc":      docRule,
	"todo":     todoRule,
	"state":    stateRule,
}

// pureRule: no clock, no randomness, no concurrency in deterministic packages.
func pureRule(s *source) (found []string) {
	if s.test || !slices.Contains(pure, s.dir) {
		return nil
	}
	say := func(p token.Pos, what string) {
		found = append(found, s.at(p, "%s in %s: time, randomness and the outside are arguments here", what, s.dir))
	}
	for _, spec := range s.file.Imports {
		if slices.Contains(pureImports, strings.Trim(spec.Path.Value, `"`)) {
			say(spec.Pos(), "import "+spec.Path.Value)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n.Pos(), "go statement")
		case *ast.ChanType:
			say(n.Pos(), "chan")
		case *ast.SelectStmt:
			say(n.Pos(), "select")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(pureTime, n.Sel.Name) {
				say(n.Pos(), "time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// starterRule: goroutines start in few, known files.
func starterRule(s *source) (found []string) {
	if s.test || slices.Contains(starters, s.path) {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, s.at(n.Pos(), "go statement outside the files that may start goroutines (starters in internal/tidy)"))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "AfterFunc" {
				found = append(found, s.at(n.Pos(), "time.AfterFunc, which nobody counts; take that of internal/invariant"))
			}
		}
		return true
	})
	return found
}

// longRule: functions and files have a size that a reader can hold.
func longRule(s *source) (found []string) {
	excused := func(from, to token.Pos) bool {
		return slices.ContainsFunc(s.file.Comments, func(g *ast.CommentGroup) bool {
			return g.Pos() >= from && g.End() <= to && strings.Contains(g.Text(), "tidy:long because ")
		})
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from := f.Pos()
		if f.Doc != nil {
			from = f.Doc.Pos()
		}
		lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
		if lines > functionLinesMax && !excused(from, f.End()) {
			found = append(found, s.at(f.Pos(), "function %s has %d lines, more than %d", f.Name.Name, lines, functionLinesMax))
		}
	}
	lines := s.set.Position(s.file.FileEnd).Line
	first := s.file.FileEnd
	if len(s.file.Decls) > 0 {
		first = s.file.Decls[0].Pos()
	}
	if lines > fileLinesMax && !excused(s.file.FileStart, first) {
		found = append(found, s.at(s.file.Package, "file has %d lines, more than %d", lines, fileLinesMax))
	}
	return found
}

// docRule: what is exported is documented; String and Error explain themselves.
func docRule(s *source) (found []string) {
	if s.test {
		return nil
	}
	need := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if name.IsExported() && !slices.ContainsFunc(docs, func(g *ast.CommentGroup) bool { return g.Text() != "" }) {
			found = append(found, s.at(name.Pos(), "exported %s has no doc comment", name.Name))
		}
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			known := d.Name.Name == "String" || d.Name.Name == "Error"
			if d.Recv == nil || (ast.IsExported(receiver(d)) && !known) {
				need(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					need(spec.Name, d.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						need(name, d.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return found
}

// receiver is the name of the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// todoRule: what is left open says why it may be.
func todoRule(s *source) (found []string) {
	open := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	for _, g := range s.file.Comments {
		if open.MatchString(g.Text()) && !strings.Contains(g.Text(), "because") {
			found = append(found, s.at(g.Pos(), "open end without its reason; say why it can wait: … because …"))
		}
	}
	return found
}

// stateRule: no package state. Error values, interface assertions, the version
// that the linker sets, and tables that say so are none.
func stateRule(s *source) (found []string) {
	if s.test {
		return nil
	}
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if isTable(g.Doc) || isTable(v.Doc) || isTable(v.Comment) {
				continue
			}
			for _, name := range v.Names {
				linked := name.Name == "version" && s.file.Name.Name == "main"
				if name.Name != "_" && !linked && !strings.HasPrefix(strings.ToLower(name.Name), "err") {
					found = append(found, s.at(name.Pos(), "package-level var %s: state belongs to a struct; a constant table is marked by a comment with table:", name.Name))
				}
			}
		}
	}
	return found
}

func isTable(g *ast.CommentGroup) bool {
	return g != nil && regexp.MustCompile(`(?m)(^|\s)table: `).MatchString(g.Text()+" ")
}

// docGoRule: a package opens with its rule. It runs over all files at once.
func docGoRule(all []*source) (found []string) {
	has := map[string]bool{}
	for _, s := range all {
		has[s.dir] = has[s.dir] || (path.Base(s.path) == "doc.go" && s.file.Doc.Text() != "")
	}
	for dir, ok := range has {
		if !ok {
			found = append(found, dir+": no doc.go with a package comment")
		}
	}
	slices.Sort(found)
	return found
}

// commandRule: every `make target` of a text exists in the Makefile.
func commandRule(name, text, makefile string) (found []string) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(makefile, -1) {
		targets[m[1]] = true
	}
	// In code spans, and at the start of a line of a code block.
	command := regexp.MustCompile("(?m)(?:`|^[ \t]*(?:\\$ )?)(?:[A-Z_]+=\\S+ )*make ([a-zA-Z0-9_=. -]+)")
	for _, m := range command.FindAllStringSubmatch(text, -1) {
		for word := range strings.FieldsSeq(m[1]) {
			if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") && !targets[word] {
				found = append(found, fmt.Sprintf("%s: make %s is not in the Makefile", name, word))
			}
		}
	}
	return found
}

// leakRule: tests of what starts goroutines, or opens connections and processes, end with a look at what they left.
func leakRule(all []*source) (found []string) {
	tested, looks, holds := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range all {
		tested[s.dir] = tested[s.dir] || s.test
		for _, spec := range s.file.Imports {
			switch strings.Trim(spec.Path.Value, `"`) {
			case module + "/internal/leak":
				looks[s.dir] = looks[s.dir] || s.test
			case "net", "net/http", "net/http/httptest", "os/exec":
				holds[s.dir] = true
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, starts := n.(*ast.GoStmt); starts {
				holds[s.dir] = true
			}
			return true
		})
	}
	for dir := range tested {
		if tested[dir] && holds[dir] && !looks[dir] {
			found = append(found, dir+": its tests want a TestMain with leak.Main")
		}
	}
	return found
}

// moduleRule: every module of go.mod is named in a table of the text.
func moduleRule(mod, text string) (found []string) {
	var named []string
	for line := range strings.Lines(text) {
		if first, _, has := strings.Cut(strings.TrimPrefix(line, "| "), " | "); has && strings.HasPrefix(line, "| `") {
			named = append(named, strings.Split(strings.ReplaceAll(first, "`", ""), ", ")...)
		}
	}
	_, required, _ := strings.Cut(mod, "require (")
	count := 0
	for line := range strings.Lines(required) {
		name, _, has := strings.Cut(strings.TrimSpace(line), " v")
		if !has {
			continue
		}
		count++
		base, _, _ := strings.Cut(name, "/v") // the table may leave the version out
		if !slices.Contains(named, name) && !slices.Contains(named, base) {
			found = append(found, "go.mod: "+name+" is not in ARCHITECTURE.md, Dependencies: say what it is for")
		}
	}
	if count == 0 {
		found = append(found, "go.mod: no modules are found")
	}
	return found
}
