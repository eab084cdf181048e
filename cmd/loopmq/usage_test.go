package main

import (
	"strings"
	"testing"
)

// TestMistakesAreOneLine: what is wrong with an option is told before anybody is connected to, in one line with the
// name of the option, and of a time or size it says how one looks.
func TestMistakesAreOneLine(t *testing.T) {
	const times = `write whole numbers and units: "30s", "1h30m"`
	for args, want := range map[string]string{
		"pub -t a -m b -k -5":            "-k -5: 0 to 65535 seconds",
		"sub -t a -k 65536":              "-k 65536: 0 to 65535 seconds",
		"sub -t a -k 99999999999":        "-k 99999999999: 0 to 65535 seconds",
		"pub -t a -m b -k 1m":            `invalid value "1m" for flag -k: it is no whole number`,
		"pub -t a -m b -p 65536":         "-p 65536: a port is 1 to 65535",
		"pub -t a -m b --what":           "flag provided but not defined: -what",
		"pub -t a/# -m b":                `topic "a/#": a topic that is published to has no + or #`,
		"rr -t + -e b -m c":              `topic "+": a topic that is published to has no + or #`,
		"sub -t a --will-topic +":        `will: topic "+": a topic that is published to has no + or #`,
		"sub -t a -x 1d":                 `-x "1d": seconds of 0 to 4294967295, or -1`,
		"sub -t a -W NaN":                "-W NaN: more than 0 seconds",
		"rr -t a -e b -m c -W -1":        "-W -1: more than 0 seconds",
		"sub -t a --random-filter NaN":   "--random-filter: more than 0 and at most 100",
		"pub -t a -m b --repeat-delay a": `invalid value "a" for flag -repeat-delay: it is no number; write "0.5"`,
		"check --json=perhaps":           `invalid boolean value "perhaps" for -json: it is neither true nor false`,
		"check --timeout soon":           `invalid value "soon" for flag -timeout: it is no time; ` + times,
		"check --timeout 5":              `invalid value "5" for flag -timeout: it has no unit; write "5s", or with ms, m, h, d or w`,
		"bench 1to1 --measure x":         `invalid value "x" for flag -measure: it is no time; ` + times,
		"bench -clients 99999999999":     "-clients 99999999999: 1 to 100000",
		"bench -count 1000000001":        "-count 1000000001: 1 to 1000000000",
		"ban add --for x FILE user me":   `invalid value "x" for flag -for: it is no time; ` + times,
		"ban add --for 5y FILE user me":  `invalid value "5y" for flag -for: it has a unit that is none of a time; units are w, d, h, m, s, ms, us and ns, as in "30s"`,
		"ban list":                       "0 arguments where FILE belongs",
		"serve --keep-alive-max x":       `invalid value "x" for flag -keep-alive-max: it is no time; ` + times,
		"serve --record-bytes-max x":     `--record-bytes-max "x": it is no size; write a whole number and a unit: "2MB"`,
		"serve --memory-limit x":         `--memory-limit: limits.memory_limit: "x" is no size; write a whole number and a unit: "2MB"`,
		"acl explain publish a":          "--file: name the access control file",
	} {
		command, _, _ := strings.Cut(args, " -")
		if words := strings.Fields(command); len(words) > 2 {
			command = strings.Join(words[:2], " ")
		}
		want = "loopmq " + command + ": " + want
		if !strings.HasPrefix(args, "serve --record") && !strings.HasPrefix(args, "serve --memory") {
			want += "; see loopmq " + command + " --help"
		}
		got := run(t, "", append([]string{loopmq}, strings.Fields(args)...)...)
		if got.status != exitUsage || got.err != want+"\n" || got.out != "" {
			t.Errorf("%s: status %d, %q\n got %s\nwant %s", args, got.status, got.out, got.err, want)
		}
	}
	for args, want := range map[string]string{
		"serv":     "loopmq: no command \"serv\"; see loopmq --help\n",
		"acl chek": "loopmq acl: no command \"chek\"; see loopmq acl --help\n",
	} {
		got := run(t, "", append([]string{loopmq}, strings.Fields(args)...)...)
		if got.status != exitUsage || got.err != want || got.out != "" {
			t.Errorf("loopmq %s: status %d, %q, %q", args, got.status, got.out, got.err)
		}
	}
}

// TestTimesOfFlags: a flag takes a time as the configuration file does, and as Go writes it.
func TestTimesOfFlags(t *testing.T) {
	for _, text := range []string{"14d", "1.5s", "1h30m", "2w"} {
		got := run(t, "", loopmq, "check", "--timeout", text, "mqtt://127.0.0.1:1")
		if got.status != exitRuntime || !strings.Contains(got.err, "nobody listens there") {
			t.Errorf("--timeout %s: status %d, %q", text, got.status, got.err)
		}
	}
}
