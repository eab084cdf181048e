package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/config"
)

// TestDocumentation holds the reference and the man page against the schema.
func TestDocumentation(t *testing.T) {
	for name, want := range map[string]string{
		"../docs/configuration.md":         reference(),
		"../packaging/man/loopmq.toml.5":   manPage(),
		"../packaging/loopmq.example.toml": config.Example(),
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v; run: make docs", err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the schema says; run: make docs", name)
		}
	}
}

// intro opens both texts.
const intro = `The configuration is one TOML file. A key that is not in it has its default.

What is set in several places is taken from the last of these: the default, the
file, the files that it includes in the order of their names, the environment,
the flags of the command line.

Sizes are whole numbers with B, kB, MB, GB, KiB, MiB or GiB: "2MB", "256KiB".
Times are whole numbers with w, d, h, m, s, ms, us or ns: "30s", "1h30m", "14d".
Paths are relative to the directory of the file that has them;
$CREDENTIALS_DIRECTORY/NAME is a credential that systemd hands to the service.

Every key but include has an environment variable: LOOPMQ_ and its path in
capitals with two underscores for each dot, as LOOPMQ_LIMITS__INFLIGHT_MAX.
Listeners have a number, from 0, as LOOPMQ_LISTENER__0__URL. Lists are separated
by commas.

A secret is better said by its key with _file, which names a file with it. One
that is not said at all is taken from the credential with the name of its key,
as auth.jwt.secret, where the service has one.

"Reload" says what a changed key needs to take effect: live is at once, with
connections as they are; with "listener opened anew" its connections end.
`

func reference() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n<!-- Made by make docs from the schema in package config. -->\n\n")
	b.WriteString(intro)
	b.WriteString("\n`loopmq config init FILE` writes a file to begin with, `loopmq config check FILE`\nsays everything that is wrong with one, `loopmq config show FILE` what it comes to\n(with --origin where each value comes from), `loopmq config explain KEY` what is\nhere, `loopmq config diff OLD NEW` what a reload would change and who would lose\nwhich right, and `loopmq config import MOSQUITTO.CONF` makes one out of\nMosquitto's. `loopmq serve --config FILE` runs from it and reads it again at\nSIGHUP: all of it is put in force, or nothing.\n\n## General\n")
	for _, k := range config.Keys() {
		switch k.Kind {
		case config.KindTable:
			b.WriteString("\n## [" + k.Path + "]\n\n" + k.Doc + "\n")
			continue
		case config.KindTables:
			b.WriteString("\n## [[" + k.Path + "]]\n\n" + k.Doc + "\n")
			continue
		}
		b.WriteString("\n### `" + k.Path + "`\n\n" + k.Doc + "\n\n| | |\n|---|---|\n| default | `" + k.Default + "` |\n")
		for _, f := range told(k) {
			value := strings.ReplaceAll(f[1], "|", "\\|")
			if f[0] == "environment" || f[0] == "flag" {
				value = "`" + value + "`"
			}
			b.WriteString("| " + f[0] + " | " + value + " |\n")
		}
	}
	return b.String()
}

func manPage() string {
	var b strings.Builder
	b.WriteString(".\\\" Made by make docs from the schema in package config.\n.TH LOOPMQ.TOML 5 \"\" LoopMQ \"File formats\"\n.SH NAME\nloopmq.toml \\- configuration of the LoopMQ broker\n.SH DESCRIPTION\n")
	for line := range strings.Lines(intro) {
		if line == "\n" {
			line = ".PP\n"
		} else {
			line = roff(line)
		}
		b.WriteString(line)
	}
	b.WriteString(".SH GENERAL\n")
	for _, k := range config.Keys() {
		switch k.Kind {
		case config.KindTable:
			b.WriteString(".SH [" + roff(k.Path) + "]\n" + roff(k.Doc) + "\n")
			continue
		case config.KindTables:
			b.WriteString(".SH [[" + roff(k.Path) + "]]\n" + roff(k.Doc) + "\n")
			continue
		}
		b.WriteString(".TP\n.BR " + roff(k.Name) + " \" = " + strings.ReplaceAll(roff(k.Default), `"`, `\(dq`) + "\"\n" + roff(k.Doc) + "\n")
		for _, f := range told(k) {
			b.WriteString(".br\n" + roff(f[0]+": "+f[1]) + "\n")
		}
	}
	b.WriteString(".SH SEE ALSO\n.BR mqtt (7),\nloopmq config \\-\\-help\n")
	return b.String()
}

// told are the facts that the introduction does not tell for all keys.
func told(k config.Key) [][2]string {
	return slices.DeleteFunc(k.Facts(), func(f [2]string) bool {
		return f[0] == "written" && slices.Contains([]config.Kind{config.KindSize, config.KindDuration, config.KindPath, config.KindPathList}, k.Kind)
	})
}

// roff hides what the formatter would take for itself.
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	s = strings.ReplaceAll(s, "…", "...")
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
