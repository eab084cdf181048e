package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// fileBytesMax bounds a file: somebody named the wrong one.
const fileBytesMax = 1 << 20

// readFile reads a file that is not larger than that.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err == nil && len(text) > fileBytesMax {
		err = fmt.Errorf("has more than %d bytes", fileBytesMax)
	}
	return text, err
}

// Override is a key that a flag sets.
type Override struct {
	// Key is its path: "limits.packet_bytes_max", "listener.0.url". With the
	// key "listener", Value is the URL of a listener; the first such override
	// replaces all listeners, more of them add to it.
	Key    string
	Value  string // as in the environment: without quotes, lists by commas
	Source string // "--packet-bytes-max", for problems
}

// Load reads a configuration: the file, what it includes, the environment (as
// os.Environ has it) and overrides, each replacing what those before it say.
// An empty path is no file. All problems are found; with none, File is whole.
func Load(path string, env []string, overrides []Override) (*File, []Problem) {
	l := loader{env: env, open: readFile, glob: filepath.Glob, stat: os.Stat}
	return l.load(path, overrides)
}

// loader is one Load.
type loader struct {
	env      []string
	open     func(path string) ([]byte, error)
	glob     func(pattern string) ([]string, error)
	stat     func(path string) (fs.FileInfo, error)
	problems []Problem
	broken   bool // a file ends where it could not be read any further
}

func (l *loader) getenv(name string) string {
	value := ""
	for _, e := range l.env {
		if n, v, ok := strings.Cut(e, "="); ok && n == name {
			value = v
		}
	}
	return value
}

func (l *loader) load(path string, overrides []Override) (*File, []Problem) {
	root := &value{kind: kindTable}
	if path != "" {
		root = l.file(path)
		l.include(path, root)
	}
	l.environment(root)
	l.override(root, overrides)
	f := Default()
	in := &reader{loader: l, places: map[string]place{}, problems: l.problems}
	in.table("", f.rows(), root)
	in.secrets(f)
	for i := range f.Listeners {
		if f.Listeners[i].Name == "" {
			f.Listeners[i].Name = f.Listeners[i].URL
		}
	}
	if !l.broken {
		in.check(f)
	}
	inOrder(in.problems)
	f.origins, f.warnings = in.origins(f), in.warnings
	return f, in.problems
}

// file reads one file; an empty table if it cannot.
func (l *loader) file(path string) *value {
	data, err := l.open(path)
	if err != nil {
		// The error names the file again.
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		l.problems = append(l.problems, Problem{File: path, What: "cannot be read: " + err.Error()})
		l.broken = true
		return &value{kind: kindTable}
	}
	root, problems := parseTOML(path, data)
	l.problems = append(l.problems, problems...)
	l.broken = l.broken || len(problems) > 0
	return root
}

// include merges the files that are included into root.
func (l *loader) include(path string, root *value) {
	f := root.field("include")
	if f == nil || f.value.kind != kindList {
		return // the reader says what is wrong with it
	}
	for _, item := range f.value.list {
		if item.kind != kindText {
			continue
		}
		pattern := item.text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(path), pattern)
		}
		names, err := l.glob(pattern)
		switch {
		case err != nil:
			l.problems = append(l.problems, item.at.problem("include", quote(item.text)+" is no pattern", ""))
		case len(names) == 0 && !strings.ContainsAny(item.text, "*?["):
			l.problems = append(l.problems, item.at.problem("include", quote(item.text)+" is not there", ""))
		}
		slices.Sort(names)
		for _, name := range names {
			more := l.file(name)
			if f := more.field("include"); f != nil {
				l.problems = append(l.problems, f.at.problem("include", "an included file includes none", "say it in "+path))
				more.remove("include")
			}
			merge(root, more)
		}
	}
}

func (v *value) remove(name string) {
	v.fields = slices.DeleteFunc(v.fields, func(f *field) bool { return f.name == name })
}

// merge puts the fields of more over those of v; lists of tables are joined.
func merge(v, more *value) {
	for _, f := range more.fields {
		was := v.field(f.name)
		switch {
		case was == nil:
			v.fields = append(v.fields, f)
		case was.value.kind == kindTable && f.value.kind == kindTable:
			merge(was.value, f.value)
		case ofTables(was.value) && ofTables(f.value):
			was.value.list = append(was.value.list, f.value.list...)
		default:
			*was = *f
		}
	}
}

func ofTables(v *value) bool {
	return v.kind == kindList && len(v.list) > 0 && v.list[0].kind == kindTable
}

// secrets reads the files of secrets, and the service's credentials.
func (in *reader) secrets(f *File) {
	in.secret(&f.Auth.JWT.Secret, f.Auth.JWT.SecretFile, "auth.jwt.secret")
	in.secret(&f.Auth.HTTP.Token, f.Auth.HTTP.TokenFile, "auth.http.token")
}

// exposed notes that everybody may read a file with a secret.
func (in *reader) exposed(path string) {
	info, err := in.stat(path)
	if err != nil || info.Mode()&0o006 == 0 {
		return
	}
	text := fmt.Sprintf("%s holds a secret and is open to everybody (mode %04o); type: chmod 640 %s", path, info.Mode().Perm(), path)
	if !slices.Contains(in.warnings, text) {
		in.warnings = append(in.warnings, text)
	}
}

// secret reads one: out of its file, or out of the credential that has the name
// of the key.
func (in *reader) secret(to *Secret, file, key string) {
	at := in.places[key+"_file"]
	dir := in.getenv("CREDENTIALS_DIRECTORY")
	if p := in.places[key]; *to != "" && p.file != "" {
		in.exposed(p.file)
	}
	switch {
	case file != "" && *to != "":
		in.problems = append(in.problems, at.problem(key+"_file", "there is "+key+" too", "leave one of the two out"))
		return
	case file == "" && *to == "" && dir != "":
		file = filepath.Join(dir, key)
		if _, err := in.stat(file); err != nil {
			return
		}
	case file == "":
		return
	}
	text, err := in.open(file)
	switch {
	case err != nil:
		in.problems = append(in.problems, at.problem(key+"_file", reason(err), ""))
		return
	case len(text) > 64<<10:
		in.problems = append(in.problems, at.problem(key+"_file", file+" is too large for a secret", ""))
		return
	}
	in.exposed(file)
	*to = Secret(strings.TrimRight(string(text), "\r\n"))
	if *to == "" {
		in.problems = append(in.problems, at.problem(key+"_file", file+" is empty", ""))
	}
}
