package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	xdg "github.com/xdg-go/scram"
)

// Method is the name of the method (RFC 7677) as it stands in the
// Authentication Method of CONNECT.
const Method = "SCRAM-SHA-256"

// IterationsMin is the least number of iterations that RFC 7677 allows, and
// what is used where nothing else is said.
const IterationsMin = 4096

// saltBytes is the length of a new salt.
const saltBytes = 16

// Credentials is what a server keeps of a user (RFC 5802, section 3).
type Credentials struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// NewCredentials derives credentials from a password, which takes some
// milliseconds for each thousand iterations: not on the loop. The password is
// taken as it is, so names and passwords should be in NFKC.
func NewCredentials(password string, iterations int) (Credentials, error) {
	c := Credentials{Salt: make([]byte, saltBytes), Iterations: max(iterations, IterationsMin)}
	if _, err := rand.Read(c.Salt); err != nil {
		return c, fmt.Errorf("draw a salt: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, c.Salt, c.Iterations, sha256.Size)
	if err != nil {
		return c, fmt.Errorf("derive the key of a password: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	c.StoredKey, c.ServerKey = stored[:], mac(salted, "Server Key")
	return c, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Server starts conversations of SCRAM-SHA-256.
type Server struct {
	server *xdg.Server
	lookup func(user string) (Credentials, bool)
	secret []byte
}

// New makes a Server over users. lookup must not block. A user that it does
// not know gets a salt all the same, always the same one, and then fails: who
// asks does not learn which names exist. For that, where users have more
// iterations than IterationsMin, lookup says with false how many they have.
func New(lookup func(user string) (Credentials, bool)) (*Server, error) {
	s := &Server{lookup: lookup, secret: make([]byte, sha256.Size)}
	if _, err := rand.Read(s.secret); err != nil {
		return nil, fmt.Errorf("draw a secret: %w", err)
	}
	server, err := xdg.SHA256.NewServer(s.credentials)
	if err != nil {
		return nil, fmt.Errorf("start SCRAM: %w", err)
	}
	s.server = server
	return s, nil
}

// credentials looks a user up, or makes some that no password fits.
func (s *Server) credentials(user string) (xdg.StoredCredentials, error) {
	c, known := s.lookup(user)
	if !known {
		c = Credentials{
			Salt: mac(s.secret, "salt "+user)[:saltBytes], Iterations: max(c.Iterations, IterationsMin),
			StoredKey: mac(s.secret, "stored "+user), ServerKey: mac(s.secret, "server "+user),
		}
	}
	return xdg.StoredCredentials{
		KeyFactors: xdg.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations},
		StoredKey:  c.StoredKey, ServerKey: c.ServerKey,
	}, nil
}

// Start begins a conversation.
func (s *Server) Start() *Conversation {
	return &Conversation{scram: s.server.NewConversation()}
}

// Conversation is one authentication of one client.
type Conversation struct {
	scram *xdg.ServerConversation
}

// errFailed is all that a client learns.
var errFailed = errors.New("SCRAM-SHA-256: proof does not fit")

// Step takes the client's next message and returns the server's. done: the
// client is who he says. A client may leave its first message out of CONNECT.
func (c *Conversation) Step(data []byte) (answer []byte, done bool, err error) {
	if len(data) == 0 && c.scram.Username() == "" && !c.scram.Done() {
		return nil, false, nil
	}
	text, err := c.scram.Step(string(data))
	if err != nil {
		return nil, false, fmt.Errorf("SCRAM-SHA-256, user %q: %w", c.scram.Username(), err)
	}
	if c.scram.Done() && !c.scram.Valid() {
		return nil, false, errFailed
	}
	return []byte(text), c.scram.Valid(), nil
}

// Identity is the user name that was shown.
func (c *Conversation) Identity() string { return c.scram.Username() }
