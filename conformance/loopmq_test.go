package conformance

import (
	"context"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/auth/scram"
	"github.com/loopmq/loopmq/broker"
	"github.com/loopmq/loopmq/internal/leak"
	"github.com/loopmq/loopmq/internal/testkit"
)

// loopmq is a LoopMQ broker inside the test's process.
type loopmq struct {
	b       *broker.Broker
	address string
}

// limits is the one place where a test's options become the broker's.
func (o options) limits() broker.Limits {
	return broker.Limits{
		PacketBytesMax:    o.packetBytesMax,
		InflightMax:       o.inflightMax,
		QueuedMessagesMax: o.queuedMessagesMax,
		QueuedBytesMax:    o.queuedBytesMax,
		TopicBytesMax:     o.topicBytesMax,
		TopicLevelsMax:    o.topicLevelsMax,
		SubscriptionsMax:  o.subscriptionsMax,
		ClientIDBytesMax:  o.clientIDBytesMax,
		ReceiveMaximum:    o.receiveMaximum,
		ConnectTimeout:    o.connectTimeout,
		SysInterval:       o.sysInterval,
	}
}

// authMethods has the one user that a test asked for.
func (o options) authMethods(t testing.TB) map[string]func() broker.Exchange {
	t.Helper()
	if !o.scram {
		return nil
	}
	known, err := scram.NewCredentials("pencil", scram.IterationsMin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scram.New(func(user string) (scram.Credentials, bool) { return known, user == "user" })
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func() broker.Exchange{scram.Method: func() broker.Exchange { return s.Start() }}
}

// atEnd is what must wait until all tests are over.
var atEnd testkit.AtEnd

func TestMain(m *testing.M) { os.Exit(leak.Main(atEnd.After(m))) }

func startLoopMQ(engine string) func(testing.TB, options) target {
	return func(t testing.TB, o options) target {
		t.Helper()
		b, err := broker.New(broker.Config{
			Listeners: []broker.Listener{{URL: "mqtt://127.0.0.1:0"}}, Engine: engine, Limits: o.limits(),
			ShutdownTimeout: time.Millisecond, ServerReference: o.serverReference, AuthMethods: o.authMethods(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := testkit.Start(t, b)
		l := &loopmq{b: b, address: b.Addrs()[0].String()}
		atStart := l.gauges(t)["connections"]
		t.Cleanup(func() {
			if got := until(func() int { return l.gauges(t)["connections"] }, atStart); got != atStart {
				t.Errorf("connections after the test: want %d as at its start, got %d", atStart, got)
			}
			if err := checkInvariants(l.b.Do); err != nil {
				t.Errorf("broker's invariants after the test: %v", err)
			}
			if engine == "evio" {
				// It closes its listeners' descriptors twice, by then perhaps those of another test.
				atEnd.Add(stop)
				return
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		return l
	}
}

func (l *loopmq) addr() string { return l.address }

func (l *loopmq) descriptors(t testing.TB) int { return openFiles(t, "self") }

// checkInvariants asks the router, on its loop, whether its state is whole.
// Its type parameters stand for types of packages that are not imported here.
func checkInvariants[R interface{ CheckInvariants() error }, S any](do func(context.Context, func(R, S)) error) (found error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := do(ctx, func(r R, _ S) { found = r.CheckInvariants() }); err != nil {
		return err
	}
	return found
}

// gauges is what the broker holds now.
func (l *loopmq) gauges(t testing.TB) map[string]int {
	t.Helper()
	g, err := readGauges(l.b.Do)
	if err != nil {
		t.Fatalf("reading the broker's gauges: %v", err)
	}
	return g
}

// readGauges asks the router and the loop, on the loop; the types are unnamed
// as in checkInvariants, so that their fields are read by name.
func readGauges[R interface{ Stats() P }, P, S any](do func(context.Context, func(R, S)) error) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g := map[string]int{}
	err := do(ctx, func(r R, s S) {
		stats := reflect.ValueOf(r.Stats()).Elem()
		for _, name := range []string{"Clients", "Sessions", "Subscriptions", "Retained", "RetainedBytes", "Queued", "QueuedBytes", "Inflight"} {
			g[strings.ToLower(name)] = int(stats.FieldByName(name).Int())
		}
		g["connections"] = int(reflect.ValueOf(s).Elem().FieldByName("Conns").Uint())
	})
	return g, err
}

// until asks get again and again until it says want or patience is at its end,
// and returns its last word.
func until[T any](get func() T, want T) T {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		if got := get(); reflect.DeepEqual(got, want) || time.Now().After(end) {
			return got
		}
	}
}
