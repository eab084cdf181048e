package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClassesThroughKill kills a broker with SIGKILL right behind an
// acknowledgement: what a start finds is what its class says.
func TestClassesThroughKill(t *testing.T) {
	for topics, want := range map[string]string{
		"sync/a":               "retained=1",
		"lazy/a":               "retained=0",
		"none/a":               "retained=0",
		"sync/a lazy/a none/a": "retained=1",
		"lazy/a none/a sync/a": "retained=2", // a commit takes along what is lazy
	} {
		t.Run(topics, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			conf := filepath.Join(dir, "loopmq.toml")
			text := `
state_dir = "state"
state_segment_bytes = "1MiB"
lazy_interval = "1h"
listener = [{ url = "mqtt://127.0.0.1:0" }]
durability = [{ filter = "lazy/#", class = "lazy" }, { filter = "none/#", class = "none" }]
`
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			serve := func() (*exec.Cmd, string, string) {
				cmd := exec.Command(loopmq, "serve", "-c", conf)
				cmd.Env = append(os.Environ(), "LOOPMQ_STATE_DIR="+filepath.Join(dir, "state"))
				log, err := startLogged(t, cmd)
				if err != nil {
					t.Fatal(err)
				}
				found, at := "", ""
				for (found == "" || at == "") && log.Scan() { // in any order
					switch line := log.Text(); {
					case strings.Contains(line, "state restored"):
						found = line
					case strings.Contains(line, "listening on"):
						at = field(t, line, "127.0.0.1:")
					}
				}
				if at == "" {
					t.Fatal("it does not listen")
				}
				return cmd, found, at
			}
			cmd, _, port := serve()
			for topic := range strings.FieldsSeq(topics) {
				if out, err := exec.Command(loopmq, "pub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-r", "-t", topic, "-m", "x").CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if _, found, _ := serve(); !strings.Contains(found, want) {
				t.Errorf("%s, want %s", found, want)
			}
		})
	}
}
