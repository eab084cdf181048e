package client_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/client"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]struct{ url, path, user string }{
		"mqtt://h":                        {"mqtt://h:1883", "", ""},
		"TCP://h:1":                       {"mqtt://h:1", "", ""},
		"mqtts://h":                       {"mqtts://h:8883", "", ""},
		"ssl://h":                         {"mqtts://h:8883", "", ""},
		"tls://[::1]:9":                   {"mqtts://[::1]:9", "", ""},
		"mqtt://u:p@h/a/b":                {"mqtt://h:1883", "a/b", "u:p"},
		"mqtt://h/a/#":                    {"mqtt://h:1883", "a/#", ""},
		"mqtt://h/+/b%20c?d%":             {"mqtt://h:1883", "+/b%20c?d%", ""},
		"mqtt://h/b%20c":                  {"mqtt://h:1883", "b c", ""},
		"mqtt://u:p%40%3A%2F%23@h":        {"mqtt://h:1883", "", "u:p@:/#"},
		"ws://h":                          {"ws://h:80/mqtt", "/mqtt", ""},
		"ws://h:8083/mqtt":                {"ws://h:8083/mqtt", "/mqtt", ""},
		"wss://u@h/":                      {"wss://h:443/", "/", "u"},
		"wss://h/a%20b?X-Sig=1%2B2#frag":  {"wss://h:443/a%20b", "/a%20b?X-Sig=1%2B2", ""},
		"ws://h?token=1":                  {"ws://h:80/mqtt", "/mqtt?token=1", ""},
		"unix:///run/mq.sock":             {"unix:///run/mq.sock", "", ""},
		"unix://u:p@/run/a b%25?.sock":    {"unix:///run/a b%?.sock", "", "u:p"},
		"unix://relative.sock":            {"unix://relative.sock", "", ""},
		"mqtt://[fe80::1%25eth0]:1883/#x": {"mqtt://[fe80::1%eth0]:1883", "#x", ""},
	} {
		s, err := client.ParseURL(raw)
		user := s.Username
		if s.Password != nil {
			user += ":" + string(s.Password)
		}
		if err != nil || s.URL() != want.url || s.Path != want.path || user != want.user {
			t.Errorf("%s: %s path %q user %q, %v; want %q", raw, s.URL(), s.Path, user, err, want)
		}
	}
}

func TestParseURLMistakes(t *testing.T) {
	for raw, want := range map[string]string{
		"h:1883":                              "no scheme",
		"http://h":                            `scheme "http" is not known`,
		"mqtt://":                             "no host",
		"ws:///mqtt":                          "no host",
		"mqtt://h:0":                          "a port is 1 to 65535",
		"mqtt://h:70000":                      "a port is 1 to 65535",
		"mqtt://u:secret#@h":                  "%XX",
		"mqtt://u:sec ret@h":                  "%XX",
		"mqtt://u:secret/x@h:y":               "no HOST[:PORT]",
		"ws://u:secret@h/a b%":                "%XX",
		"ws://u/x:secret@h/%zz":               "%XX",
		"mqtt://::1":                          "in brackets",
		"mqtt://::1:1883":                     "in brackets",
		"unix://u:secret@":                    "no path",
		"unix:///" + strings.Repeat("x", 107): "at most 107",
	} {
		_, err := client.ParseURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: the password is in %v", raw, err)
		}
	}
}
