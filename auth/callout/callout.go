package callout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/loopmq/loopmq/auth"
)

// Bounds of a Service.
const (
	answerBytesMax   = 64 << 10 // of an answer's body
	rememberedMax    = 10_000   // answers that are remembered
	defaultTimeout   = 5 * time.Second
	connectionsMax   = 8 // to the service at a time
	idleConnsTimeout = time.Minute
)

// Config says whom to ask and how.
type Config struct {
	_ [0]func() // nobody compares two: no code for that

	// URL is asked with POST and a JSON object: clientid, username, password,
	// address, listener. The answer is 200 with a JSON object,
	//
	//	{"result": "allow", "user": "…", "lifetime": seconds, "publ": ["…"], "subs": ["…"]}
	//
	// of which all but result may be missing; result is allow, deny or ignore.
	// A 200 with an empty body is allow, 204 is ignore, 401 and 403 are deny.
	URL string
	// Timeout bounds one request; 0: 5 s.
	Timeout time.Duration
	// Remember is how long an allow or deny holds without being asked for again, but
	// not beyond its lifetime; 0: not at all.
	Remember time.Duration
	// Token is sent as "Authorization: Bearer …"; empty: none.
	Token string
	// CAFile holds the certificates that the service's is to be signed by;
	// empty: the system's.
	CAFile string
}

// Service is a web service that knows clients.
type Service struct {
	cfg    Config
	host   string
	client *http.Client

	mu    sync.Mutex
	known map[[sha256.Size]byte]remembered
}

// remembered is an answer and how long it holds.
type remembered struct {
	answer auth.Answer
	until  time.Time
	ends   time.Time // its Lifetime, if it has one
}

// New checks the configuration.
func New(cfg Config) (*Service, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("login service %q: write http://HOST/PATH or https://HOST/PATH", cfg.URL)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	transport := &http.Transport{MaxConnsPerHost: connectionsMax, MaxIdleConnsPerHost: connectionsMax, IdleConnTimeout: idleConnsTimeout}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("login service: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("login service: %s: holds no PEM certificate", cfg.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	s := &Service{
		cfg: cfg, host: u.Host, known: make(map[[sha256.Size]byte]remembered),
		client: &http.Client{
			Transport: transport, Timeout: cfg.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // passwords go nowhere else
		},
	}
	return s, nil
}

// Name implements auth.Backend.
func (s *Service) Name() string { return "login service " + s.host }

// question is what the service is asked.
type question struct {
	_ [0]func() // nobody compares two: no code for that

	ClientID string `json:"clientid"`
	Username string `json:"username"`
	Password string `json:"password"`
	Address  string `json:"address"`
	Listener string `json:"listener"`
}

// reply is what it says.
type reply struct {
	_ [0]func() // nobody compares two: no code for that

	Result   string    `json:"result"`
	User     string    `json:"user"`
	Lifetime float64   `json:"lifetime"`
	Publish  *[]string `json:"publ"`
	Subs     *[]string `json:"subs"`
	Why      string    `json:"why"`
}

// Check implements auth.Backend.
func (s *Service) Check(ctx context.Context, r *auth.Request) (auth.Answer, error) {
	q := question{ClientID: r.ClientID, Username: r.Username, Password: string(r.Password), Listener: r.Listener}
	if r.Addr.IsValid() {
		q.Address = r.Addr.String()
	}
	body, err := json.Marshal(q)
	if err != nil {
		return auth.Answer{}, fmt.Errorf("write the question: %w", err)
	}
	key := sha256.Sum256(body)
	if a, ok := s.recall(key); ok {
		return a, nil
	}
	a, err := s.ask(ctx, body)
	if err == nil && a.Decision != auth.Ignore {
		s.remember(key, a)
	}
	return a, err
}

// ask sends the question and reads the answer.
func (s *Service) ask(ctx context.Context, body []byte) (auth.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return auth.Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return auth.Answer{}, errors.Unwrap(err) // without the URL, which may hold a secret
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax+1))
	switch {
	case err != nil:
		return auth.Answer{}, fmt.Errorf("read the answer: %w", err)
	case len(text) > answerBytesMax:
		return auth.Answer{}, fmt.Errorf("the answer has more than %d bytes", answerBytesMax)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return read(text)
	case http.StatusNoContent:
		return auth.Answer{}, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return auth.Answer{Decision: auth.Deny}, nil
	}
	return auth.Answer{}, fmt.Errorf("answered %s", resp.Status)
}

// read understands the body of a 200.
func read(text []byte) (auth.Answer, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return auth.Answer{Decision: auth.Allow}, nil
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return auth.Answer{}, fmt.Errorf("understand the answer: %w", err)
	}
	if r.Lifetime < 0 {
		return auth.Answer{}, fmt.Errorf("lifetime %g in the answer is over already", r.Lifetime)
	}
	const longest = float64(math.MaxInt64 / time.Second)                // in seconds; a conversion would go round
	nanos := math.Ceil(min(r.Lifetime, longest) * float64(time.Second)) // less than one would be for ever
	a := auth.Answer{User: r.User, Lifetime: time.Duration(nanos), Why: r.Why}
	if r.Publish != nil || r.Subs != nil {
		a.Limited = true
		if r.Publish != nil {
			a.Publish = *r.Publish
		}
		if r.Subs != nil {
			a.Subscribe = *r.Subs
		}
	}
	switch r.Result {
	case "allow":
		a.Decision = auth.Allow
	case "deny":
		a.Decision = auth.Deny
	case "ignore":
	default:
		return auth.Answer{}, fmt.Errorf("result %q in the answer is neither allow, deny nor ignore", r.Result)
	}
	return a, nil
}

// recall finds an answer that still holds.
func (s *Service) recall(key [sha256.Size]byte) (auth.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[key]
	if !ok || !time.Now().Before(k.until) {
		return auth.Answer{}, false
	}
	if k.answer.Lifetime > 0 {
		k.answer.Lifetime = max(time.Until(k.ends), 1)
	}
	return k.answer, true
}

// remember keeps an answer; without room another one goes.
func (s *Service) remember(key [sha256.Size]byte, a auth.Answer) {
	if s.cfg.Remember <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= rememberedMax {
		for other := range s.known {
			delete(s.known, other)
			break
		}
	}
	now := time.Now()
	k := remembered{answer: a, until: now.Add(s.cfg.Remember), ends: now.Add(a.Lifetime)}
	if a.Lifetime > 0 && k.ends.Before(k.until) {
		k.until = k.ends
	}
	s.known[key] = k
}
