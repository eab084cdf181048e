package conformance

import (
	"os"
	"strings"
	"testing"
	"time"
)

// targetEnv selects what is tested: empty for LoopMQ, "mosquitto" for Debian's.
const targetEnv = "LOOPMQ_TEST_TARGET"

// target is one running broker.
type target interface {
	addr() string // HOST:PORT
	// descriptors counts the open files of the broker's process.
	descriptors(t testing.TB) int
}

// options are limits that a test needs; zero fields stay at the broker's
// default.
type options struct {
	packetBytesMax    int
	inflightMax       int
	queuedMessagesMax int
	queuedBytesMax    int
	topicBytesMax     int
	topicLevelsMax    int
	subscriptionsMax  int
	clientIDBytesMax  int
	receiveMaximum    int
	connectTimeout    time.Duration
	sysInterval       time.Duration
	serverReference   string
	scram             bool // user "user", password "pencil"
}

// kind is one way to have a broker.
type kind struct {
	name  string
	start func(t testing.TB, o options) target
}

// kinds are the brokers that every test runs over.
func kinds(t testing.TB) []kind {
	switch env := os.Getenv(targetEnv); env {
	case "":
		return []kind{{"epoll", startLoopMQ("epoll")}, {"evio", startLoopMQ("evio")}}
	case "mosquitto":
		return []kind{{"mosquitto", startMosquitto}}
	default:
		t.Fatalf("%s=%q: unknown target; leave it empty or set it to mosquitto", targetEnv, env)
		return nil
	}
}

// each runs f over every kind of broker, each started for this test alone.
func each(t *testing.T, o options, f func(t *testing.T, tg target)) {
	t.Helper()
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if !differs(t) {
				f(t, k.start(t, o))
			}
		})
	}
}

// inTurn is each without any overlap of tests, for those that count what the
// process holds.
func inTurn(t *testing.T, o options, f func(t *testing.T, tg target)) {
	t.Helper()
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			if !differs(t) {
				f(t, k.start(t, o))
			}
		})
	}
}

// cases runs one row of a test's table as a subtest.
func cases(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if !differs(t) {
			f(t)
		}
	})
}

// differs reports whether this test is one that mosquitto is known to answer
// otherwise, and says why.
func differs(t *testing.T) bool {
	name, mosquitto := strings.CutSuffix(t.Name(), "/mosquitto")
	if !mosquitto {
		name, mosquitto = strings.Replace(t.Name(), "/mosquitto/", "/", 1), strings.Contains(t.Name(), "/mosquitto/")
	}
	if !mosquitto {
		return false
	}
	why, known := mosquittoDiffers[name]
	if whole, _, part := strings.Cut(name, "/"); part && !known {
		why, known = mosquittoDiffers[whole+"/*"]
	}
	if known {
		t.Log("not run, mosquitto is known to differ:", why)
	}
	return known
}
