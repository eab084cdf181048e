package callout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/loopmq/loopmq/auth"
	"github.com/loopmq/loopmq/auth/callout"
)

// FuzzAnswer: whatever a service says, nobody is let in but by an answer that
// says so, or by one that is empty; and no lifetime is below 0.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"", `{"result":"allow","user":"x","lifetime":1.5,"publ":["a/#"],"subs":[]}`, `{"result":"deny","why":"late"}`,
		`{"result":"allow","lifetime":1e300}`, `{"result":"allow","lifetime":-1}`, `{"result":"ignore"}`, " \n",
	} {
		f.Add([]byte(text))
	}
	var said []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(said)
	}))
	f.Cleanup(server.Close)
	s, err := callout.New(callout.Config{URL: server.URL})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		said = text
		a, err := s.Check(context.Background(), asked())
		var told struct{ Result string }
		unread := json.Unmarshal(text, &told)
		switch {
		case a.Decision == auth.Allow && len(bytes.TrimSpace(text)) > 0 && (unread != nil || told.Result != "allow"):
			t.Errorf("%q lets somebody in", text)
		case err != nil && a.Decision != auth.Ignore:
			t.Errorf("%v, and yet %+v", err, a)
		case a.Lifetime < 0:
			t.Errorf("%q gives a lifetime of %v, which is for ever", text, a.Lifetime)
		}
	})
}
