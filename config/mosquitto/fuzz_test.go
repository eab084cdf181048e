package mosquitto

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/loopmq/loopmq/config"
)

// FuzzRead: whatever a mosquitto.conf has, nothing panics, and what is not
// refused becomes a file of ours that can be read, and says the same.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	dir := f.TempDir()
	// What depends on the machine, or on settings together.
	allowed := regexp.MustCompile(`no such file or directory$|is a directory$|not a directory$|permission denied$|are the same place$|file name too long$|too many levels of symbolic links$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		none := errors.New("not there")
		r := convert("mosquitto.conf", text, "/cwd",
			func(string) ([]byte, error) { return nil, none }, func(string) ([]string, error) { return nil, none })
		ours := r.Text("mosquitto.conf")
		if len(r.Refused()) > 0 {
			return
		}
		path := filepath.Join(dir, "loopmq.toml")
		if err := os.WriteFile(path, []byte(ours), 0o600); err != nil {
			t.Fatal(err)
		}
		back, problems := config.Load(path, nil, nil)
		for _, p := range problems {
			if !allowed.MatchString(p.What) {
				t.Fatalf("%s\nin\n%s", p, ours)
			}
		}
		if got, want := back.Text(false), r.Config.Text(false); got != want {
			t.Fatalf("read again:\n%s\nwritten:\n%s", got, want)
		}
	})
}
