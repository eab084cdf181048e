package callout_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/callout"
)

// asked is what the tests ask.
func asked() *auth.Request {
	return &auth.Request{
		ClientID: "c", Username: "u", HasUsername: true, Password: []byte("p\"w"),
		Addr: netip.MustParseAddr("192.0.2.1"), Listener: "l",
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, fail string
		want       auth.Answer
	}{
		{200, "", "", auth.Answer{Decision: auth.Allow}},
		{200, `{"result":"allow"}`, "", auth.Answer{Decision: auth.Allow}},
		{200, `{"result":"allow","user":"x","lifetime":1.5,"publ":["a/#"],"subs":[]}`, "", auth.Answer{
			Decision: auth.Allow, User: "x", Lifetime: 1500 * time.Millisecond, Limited: true, Publish: []string{"a/#"}, Subscribe: []string{},
		}},
		{200, `{"result":"deny","why":"late"}`, "", auth.Answer{Decision: auth.Deny, Why: "late"}},
		{200, `{"result":"ignore"}`, "", auth.Answer{}},
		{204, "", "", auth.Answer{}},
		{401, "", "", auth.Answer{Decision: auth.Deny}},
		{403, "no", "", auth.Answer{Decision: auth.Deny}},
		{200, `{}`, `result "" in the answer is neither allow, deny nor ignore`, auth.Answer{}},
		{200, `nonsense`, "understand the answer", auth.Answer{}},
		{200, `{"result":"allow","lifetime":1e-10}`, "", auth.Answer{Decision: auth.Allow, Lifetime: 1}},
		{200, `{"result":"allow","lifetime":-1}`, "lifetime -1 in the answer is over already", auth.Answer{}},
		{500, "", "answered 500", auth.Answer{}},
		{302, "", "answered 302", auth.Answer{}},
		{200, strings.Repeat(" ", 65537), "the answer has more than 65536 bytes", auth.Answer{}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if want := `{"clientid":"c","username":"u","password":"p\"w","address":"192.0.2.1","listener":"l"}`; string(body) != want {
				t.Errorf("asked %s, want %s", body, want)
			}
			if got := r.Header.Get("Authorization"); got != "Bearer key" {
				t.Errorf("Authorization %q", got)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		s, err := callout.New(callout.Config{URL: server.URL, Token: "key"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Check(context.Background(), asked())
		if fmt.Sprint(err) != "<nil>" != (c.fail != "") || c.fail != "" && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%d %.20s: error %v, want %q", c.status, c.body, err, c.fail)
		}
		if c.fail == "" && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d %s: %+v, want %+v", c.status, c.body, got, c.want)
		}
		server.Close()
	}
}

func TestRemembered(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable) // is not remembered
		}
	}))
	defer server.Close()
	s, err := callout.New(callout.Config{URL: server.URL, Remember: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(context.Background(), asked()); err == nil {
		t.Error("503 was taken for an answer")
	}
	for range 3 {
		if a, err := s.Check(context.Background(), asked()); err != nil || a.Decision != auth.Allow {
			t.Fatal(a, err)
		}
	}
	other := asked()
	other.Password = []byte("other")
	if _, err := s.Check(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

// TestRememberedWithALifetime: who comes again has no more time than is left, and then
// the service is asked.
func TestRememberedWithALifetime(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seconds := "3600"
		if calls.Add(1) == 1 {
			seconds = "0.001"
		}
		_, _ = io.WriteString(w, `{"result":"allow","lifetime":`+seconds+`}`)
	}))
	defer server.Close()
	s, err := callout.New(callout.Config{URL: server.URL, Remember: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	check := func() time.Duration {
		a, err := s.Check(context.Background(), asked())
		if err != nil || a.Decision != auth.Allow {
			t.Fatal(a, err)
		}
		return a.Lifetime
	}
	if got := check(); got != time.Millisecond {
		t.Errorf("lifetime %v", got)
	}
	for begun := time.Now(); calls.Load() < 2; check() {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("an answer for a millisecond holds")
		}
	}
	if got := check(); got >= time.Hour || got < 50*time.Minute {
		t.Errorf("an hour less what is over: %v", got)
	}
	check()
	if n := calls.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestServiceThatHangs(t *testing.T) {
	leave := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
	defer server.Close()
	defer close(leave)
	s, err := callout.New(callout.Config{URL: server.URL + "/?key=secret", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(context.Background(), asked()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestOwnAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file string
		ok   bool
	}{{ca, true}, {"", false}} {
		s, err := callout.New(callout.Config{URL: server.URL, CAFile: c.file})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Check(context.Background(), asked()); (err == nil) != c.ok {
			t.Errorf("CA file %q: %v", c.file, err)
		}
	}
}

func TestBadConfig(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  callout.Config
		want string
	}{
		{callout.Config{URL: "ftp://a"}, `login service "ftp://a": write http://HOST/PATH`},
		{callout.Config{URL: "http://"}, `write http://HOST/PATH`},
		{callout.Config{URL: "http://a", CAFile: "/nowhere"}, "login service: open /nowhere"},
		{callout.Config{URL: "http://a", CAFile: empty}, "holds no PEM certificate"},
	} {
		if _, err := callout.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
