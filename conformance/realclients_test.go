package conformance

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

// mosquittoSub starts mosquitto_sub. It writes nothing when it is subscribed,
// so each is given a retained message that it must print first.
func mosquittoSub(t testing.TB, tg target, args ...string) *testkit.Process {
	t.Helper()
	return testkit.Run(t, "mosquitto_sub", withAddress(t, tg, args)...)
}

func withAddress(t testing.TB, tg target, args []string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(tg.addr())
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"-h", host, "-p", port}, args...)
}

// mosquittoPub runs mosquitto_pub to its end.
func mosquittoPub(t testing.TB, tg target, args ...string) {
	t.Helper()
	if out, err := exec.Command(testkit.Program(t, "mosquitto_pub"), withAddress(t, tg, args)...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub %s: want success, got %v: %s", strings.Join(args, " "), err, out)
	}
}

// TestRealClientsFilters is the first thing that a user tries: several filters
// with wildcards at one mosquitto_sub.
func TestRealClientsFilters(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "c/foo", "-m", "ready")
		s := mosquittoSub(t, tg, "-v", "-t", "a/#", "-t", "b/+/test", "-t", "c/foo")
		s.Prints("c/foo ready")
		for _, topic := range []string{"d/", "c/foo", "b/123/test", "b/1/2/test", "a/what/ever"} {
			mosquittoPub(t, tg, "-t", topic, "-m", "hello")
		}
		s.Prints("c/foo hello", "b/123/test hello", "a/what/ever hello")
		mosquittoPub(t, tg, "-t", "a", "-m", "and no more") // a/# holds its parent too
		s.Prints("a and no more")
	})
}

// TestRealClientsTwoSubscribers: a message goes once to each subscriber.
func TestRealClientsTwoSubscribers(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "test/hello", "-m", "ready")
		one := mosquittoSub(t, tg, "-v", "-t", "test/#")
		one.Prints("test/hello ready")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "hello")
		one.Prints("test/hello hello")
		two := mosquittoSub(t, tg, "-v", "-t", "test/hello")
		two.Prints("test/hello ready")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "hello2")
		mosquittoPub(t, tg, "-t", "test/hello", "-m", "end")
		one.Prints("test/hello hello2", "test/hello end")
		two.Prints("test/hello hello2", "test/hello end")
	})
}

// TestRealClientsQoS: each QoS, through both programs.
func TestRealClientsQoS(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "t", "-m", "ready")
		s := mosquittoSub(t, tg, "-q", "2", "-t", "t", "-F", "%q %r %p", "-C", "4")
		s.Prints("0 1 ready")
		for _, qos := range []string{"0", "1", "2"} {
			mosquittoPub(t, tg, "-q", qos, "-t", "t", "-m", "m"+qos)
		}
		s.PrintsAndEnds("0 0 m0", "1 0 m1", "2 0 m2")
	})
}

func TestRealClientsRetained(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/1", "-m", "first")
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/1", "-m", "second")
		mosquittoPub(t, tg, "-q", "1", "-t", "r/1", "-m", "not retained")
		mosquittoSub(t, tg, "-v", "-q", "1", "-t", "r/#", "-C", "1").PrintsAndEnds("r/1 second")
		mosquittoPub(t, tg, "-r", "-n", "-q", "1", "-t", "r/1") // without a payload it is removed
		mosquittoPub(t, tg, "-r", "-q", "1", "-t", "r/2", "-m", "the only one")
		mosquittoSub(t, tg, "-v", "-q", "1", "-t", "r/#", "-C", "1").PrintsAndEnds("r/2 the only one")
	})
}

func TestRealClientsWill(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		mosquittoPub(t, tg, "-r", "-t", "ready", "-m", "ready")
		watch := mosquittoSub(t, tg, "-v", "-t", "ready", "-t", "will/#")
		watch.Prints("ready ready")
		dying := mosquittoSub(t, tg, "-t", "ready", "--will-topic", "will/dying", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
		dying.Prints("ready")
		dying.Kill()
		watch.Prints("will/dying gone")
		mosquittoSub(t, tg, "-v", "-t", "will/#", "-C", "1").PrintsAndEnds("will/dying gone")
	})
}

func TestRealClientsPersistentSession(t *testing.T) {
	each(t, options{}, func(t *testing.T, tg target) {
		args := []string{"-c", "-i", "id", "-q", "1", "-v", "-t", "p/#"}
		mosquittoSub(t, tg, append(args, "-E")...).PrintsAndEnds() // subscribes and disconnects
		mosquittoPub(t, tg, "-q", "0", "-t", "p/0", "-m", "lost")
		mosquittoPub(t, tg, "-q", "1", "-t", "p/1", "-m", "kept")
		mosquittoPub(t, tg, "-q", "2", "-t", "p/2", "-m", "kept too")
		again := mosquittoSub(t, tg, args...)
		again.Prints("p/1 kept", "p/2 kept too")
		mosquittoPub(t, tg, "-q", "1", "-t", "p/3", "-m", "end")
		again.Prints("p/3 end")
	})
}
