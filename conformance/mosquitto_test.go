package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mosquittoDiffers are the tests that Debian's mosquitto 2.0 is known to fail,
// without the part of the name that says so, and why it is not our reading of
// the standard that is wrong.
var mosquittoDiffers = map[string]string{
	"TestConnectBridgeLevel":              "takes bit 7 of the level for a bridge of its own",
	"TestSecondConnect":                   "discards the will at a second CONNECT, which the standard allows only for DISCONNECT",
	"TestClientIDTooLong":                 "has no limit for client identifiers",
	"TestConnectTimeout":                  "has no deadline for CONNECT",
	"TestTakeover":                        "discards the will of a persistent session that is taken over",
	"TestOverlappingSubscriptions":        "delivers with the QoS of whichever of the subscriptions it meets first",
	"TestKeepAlive":                       "looks at keep alives every five seconds only",
	"TestKeepAliveCountsPackets":          "takes every byte for a sign of life",
	"TestWrongLength/PUBACK":              "ignores what is behind the PacketID",
	"TestWrongLength/PUBREC":              "ignores what is behind the PacketID",
	"TestWrongLength/PUBREL":              "ignores what is behind the PacketID",
	"TestWrongLength/PINGREQ":             "ignores what is in it",
	"TestWrongLength/PUBCOMP":             "ignores what is behind the PacketID",
	"TestReservedFlags/PUBACK":            "does not look at these flags",
	"TestReservedFlags/PUBREC":            "does not look at these flags",
	"TestReservedFlags/PINGREQ":           "does not look at these flags",
	"TestReservedFlags/PUBCOMP":           "does not look at these flags",
	"TestPacketsOfTheServer/SUBACK":       "ignores it",
	"TestPacketsOfTheServer/UNSUBACK":     "ignores it",
	"TestPacketsOfTheServer/PINGRESP":     "ignores it",
	"TestPublishMalformed/DUP_with_QoS_0": "ignores DUP there",
	"TestRemainingLength/30_ff_ff_ff_ff":  "waits for a fifth byte",
	"TestInflightWindow":                  "opens its window further than it was at the first acknowledgement",
	"TestQoS2RepeatInOneSegment":          "takes the second repeat of a PUBLISH for a protocol error",
	"TestTopicsWithControlCharacters":     "closes, which the standard allows",
	"TestDollarTopics":                    "takes messages of clients to all of these but $SYS",
	"TestQueueLimitDropsTheOldest":        "drops the newest",
	"TestQueueLimitBehindTheWindow":       "drops the newest",
	"TestQueueLimitInBytes":               "drops the newest",
	"TestPacketIDsGoRound":                "gives a PacketID again that is still open",

	"TestConnect5":                  "has other limits to tell of",
	"TestConnectMalformed5/*":       "does not look at all of these",
	"TestPublishMalformed5/*":       "lets some of these pass, and ends others without a word or with another reason",
	"TestSubscribeMalformed5/*":     "lets some of these pass, and ends others without a word or with another reason",
	"TestReservedFlags5/*":          "does not look at most of these flags",
	"TestPacketsMalformed5/*":       "lets some of these pass, and ends others without a word",
	"TestConnectTwice5":             "closes without DISCONNECT",
	"TestClientIdentifiers5":        "has no limit for client identifiers",
	"TestKeepAlive5":                "closes without DISCONNECT when a keep alive is over",
	"TestTakeover5":                 "closes without DISCONNECT when a client is taken over",
	"TestWill5":                     "does not look at the flags of PINGREQ",
	"TestWillDelay":                 "waits for the delay of a will although its session has ended",
	"TestResponseInformation":       "has none",
	"TestReceiveMaximumOfTheClient": "counts QoS 2 until PUBREC only",
	"TestReceiveMaximumOfTheServer": "cannot be told a Receive Maximum for QoS 2 alone",
	"TestQoS2Once5":                 "delivers QoS 2 at PUBREL",
	"TestUnknownPacketIDs5":         "answers an unknown PacketID without a reason",
	"TestDollarTopics5":             "takes messages of clients to all of these but $SYS",
	"TestPublish5":                  "says in PUBACK only that nobody was subscribed, and delivers QoS 2 at PUBREL",
	"TestPropertiesOfPublish":       "delivers QoS 2 at PUBREL",
	"TestMessageExpiry":             "counts messages that expired as sent",
	"TestMessageExpiryAfterSending": "delivers QoS 2 at PUBREL",
	"TestTopicAlias":                "has another Topic Alias Maximum",
	"TestTopicAliasOfTheServer":     "uses none",
	"TestMaximumPacketSize":         "compares it with the Remaining Length, not with the size",
	"TestAnswersFitThePacketSize":   "has no limit for subscriptions",
	"TestProblemInformation":        "sends no Reason Strings",
	"TestOrder5":                    "has QoS 0 overtake what waits for the window, which the standard allows",
	"TestSubscriptionIdentifier":    "sends one copy for each subscription",
	"TestLimitsOfSubscribe5":        "has no limit for subscriptions",
	"TestSharedSubscriptions":       "sends retained messages to members of a shared subscription",
	"TestSharedMemberGoes":          "does not give what a member leaves to another one",
	"TestScram":                     "has no method of its own",
	"TestScramFails":                "has no method of its own",
}

// mosquitto is a mosquitto process.
type mosquitto struct {
	pid     int
	address string
}

func startMosquitto(t testing.TB, o options) target {
	t.Helper()
	path := program(t, "mosquitto")
	for range 5 { // another process may take the port between our looking and its binding
		if m := tryMosquitto(t, path, o); m != nil {
			return m
		}
	}
	t.Fatal("mosquitto did not start on any of five free ports")
	return nil
}

func tryMosquitto(t testing.TB, path string, o options) target {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mosquitto{address: probe.Addr().String()}
	probe.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte(mosquittoConf(m.address, o)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.pid = cmd.Process.Pid
	end := func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), "running") {
			drained := make(chan struct{})
			go func() { _, _ = io.Copy(io.Discard, log); close(drained) }()
			t.Cleanup(func() { end(); <-drained })
			return m
		}
	}
	end()
	return nil
}

// mosquittoConf is the one place where a test's options become mosquitto's.
// What it cannot limit has an entry in mosquittoDiffers.
func mosquittoConf(address string, o options) string {
	host, port, _ := strings.Cut(address, ":")
	var b strings.Builder
	fmt.Fprintf(&b, "listener %s %s\nallow_anonymous true\npersistence false\nlog_dest stderr\n", port, host)
	set := func(key string, v int) {
		if v != 0 {
			fmt.Fprintf(&b, "%s %d\n", key, v)
		}
	}
	set("sys_interval", int(o.sysInterval/time.Second))
	set("max_packet_size", o.packetBytesMax)
	set("max_inflight_messages", o.inflightMax)
	set("max_queued_messages", o.queuedMessagesMax)
	set("max_queued_bytes", o.queuedBytesMax)
	return b.String()
}

func (m *mosquitto) addr() string { return m.address }

func (m *mosquitto) descriptors(t testing.TB) int { return openFiles(t, fmt.Sprint(m.pid)) }

// openFiles counts the descriptors of a process; pid may be "self".
func openFiles(t testing.TB, pid string) int {
	t.Helper()
	list, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		t.Fatalf("counting open files: %v", err)
	}
	return len(list)
}

// program finds a program of mosquitto's. Debian keeps the broker in
// /usr/sbin, which is not on everybody's path.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Fatalf("%s is not installed, and these tests need it; type: make test-deps (on Debian: apt-get install -y mosquitto mosquitto-clients)", name)
	}
	return path
}
