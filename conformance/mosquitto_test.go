package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
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
type mosquitto struct{ *testkit.Peer }

func startMosquitto(t testing.TB, o options) target {
	t.Helper()
	return mosquitto{testkit.Mosquitto(t, mosquittoConf(o))}
}

// mosquittoConf is the one place where a test's options become mosquitto's.
// What it cannot limit has an entry in mosquittoDiffers.
func mosquittoConf(o options) string {
	var b strings.Builder
	b.WriteString("allow_anonymous true\n")
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

func (m mosquitto) addr() string { return m.Addr }

func (m mosquitto) descriptors(t testing.TB) int { return openFiles(t, fmt.Sprint(m.PID)) }

// openFiles counts the descriptors of a process; pid may be "self".
func openFiles(t testing.TB, pid string) int {
	t.Helper()
	list, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		t.Fatalf("counting open files: %v", err)
	}
	return len(list)
}
