package broker

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A directory is replaced by a whole one or stays as it is, and nothing is left beside it.
func TestReplaceDir(t *testing.T) {
	parent := t.TempDir()
	dir, broken := filepath.Join(parent, "state"), errors.New("disk")
	fill := func(fresh string) error { return os.WriteFile(filepath.Join(fresh, "log"), nil, 0o600) }
	want := func(names ...string) {
		t.Helper()
		var all []string
		for _, pattern := range []string{"*", "state/*"} {
			list, err := filepath.Glob(filepath.Join(parent, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range list {
				all = append(all, path[len(parent)+1:])
			}
		}
		if !slices.Equal(all, names) {
			t.Errorf("there is %q, want %q", all, names)
		}
	}
	half := func(fresh string) error { return errors.Join(fill(fresh), broken) }
	if err := replaceDir(dir, half); !errors.Is(err, broken) {
		t.Error(err)
	}
	want()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := replaceDir(dir, half); !errors.Is(err, broken) {
		t.Error(err)
	}
	want("state")
	if err := replaceDir(dir, fill); err != nil {
		t.Error(err)
	}
	want("state", "state/log")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if err := replaceDir(dir, fill); err == nil {
		t.Error("what has something in it is replaced")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := replaceDir(link, fill); err == nil {
		t.Error("a symbolic link is replaced")
	}
}

// What cannot be replaced is told before the work, and is there as it was.
func TestReplaceDirTellsBefore(t *testing.T) {
	t.Chdir(t.TempDir())
	err := replaceDir(".", func(string) error { t.Error("it was filled in vain"); return nil })
	if err == nil {
		t.Error("the working directory is replaced")
	}
	if info, err := os.Stat("."); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if beside, err := filepath.Glob(here + "*"); err != nil || len(beside) != 1 {
		t.Errorf("beside it: %q, %v", beside, err)
	}
}
