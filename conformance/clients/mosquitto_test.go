package clients

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/internal/testkit"
)

const v31, v311, v5 = "mqttv31", "mqttv311", "mqttv5"

// eachVersion runs f over both engines in every version.
func eachVersion(t *testing.T, f func(t *testing.T, addr, version string)) {
	t.Helper()
	each(t, func(t *testing.T, addr string) {
		for _, version := range []string{v31, v311, v5} {
			t.Run(version, func(t *testing.T) {
				t.Parallel()
				f(t, addr, version)
			})
		}
	})
}

// TestMosquittoVersions: every version publishes to every version, with each
// QoS, and so does the will of a client that dies.
func TestMosquittoVersions(t *testing.T) {
	eachVersion(t, func(t *testing.T, addr, from string) {
		ready, topic, will := from+"/ready", from+"/t", from+"/will"
		pub(t, addr, from, "-r", "-q", "1", "-t", ready, "-m", "ready")
		var subs []*testkit.Process
		for _, to := range []string{v31, v311, v5} {
			s := sub(t, addr, to, "-q", "2", "-t", topic, "-t", will, "-t", ready, "-F", "%t %q %r %l %p", "-C", "5")
			s.Prints(ready + " 1 1 5 ready")
			subs = append(subs, s)
		}
		for _, qos := range []string{"0", "1", "2"} {
			pub(t, addr, from, "-q", qos, "-t", topic, "-m", "m"+qos)
		}
		dying := sub(t, addr, from, "-t", ready, "--will-topic", will, "--will-payload", "gone",
			"--will-qos", "2", "--will-retain")
		dying.Prints("ready")
		dying.Kill()
		for _, s := range subs {
			s.PrintsAndEnds(topic+" 0 0 2 m0", topic+" 1 0 2 m1", topic+" 2 0 2 m2", will+" 2 0 4 gone")
		}
		sub(t, addr, from, "-t", will, "-F", "%r %p", "-C", "1").PrintsAndEnds("1 gone")
	})
}

func TestMosquittoRetained(t *testing.T) {
	eachVersion(t, func(t *testing.T, addr, version string) {
		one, two := version+"/1", version+"/2"
		pub(t, addr, version, "-r", "-q", "1", "-t", one, "-m", "first")
		pub(t, addr, version, "-r", "-q", "1", "-t", one, "-m", "second")
		pub(t, addr, version, "-q", "1", "-t", one, "-m", "not retained")
		for _, to := range []string{v31, v311, v5} {
			sub(t, addr, to, "-q", "1", "-t", version+"/#", "-F", "%t %r %p", "-C", "1").PrintsAndEnds(one + " 1 second")
		}
		pub(t, addr, version, "-r", "-n", "-q", "1", "-t", one) // without a payload it is removed
		pub(t, addr, version, "-r", "-q", "1", "-t", two, "-m", "the only one")
		sub(t, addr, version, "-v", "-t", version+"/#", "-C", "1").PrintsAndEnds(two + " the only one")
	})
}

func TestMosquittoPersistentSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, addr, version string) {
		args := []string{"-c", "-i", "id-" + version, "-q", "2", "-t", version + "/#", "-F", "%q %p"}
		if version == v5 {
			args = append(args, "-x", "100")
		}
		sub(t, addr, version, append(args, "-E")...).PrintsAndEnds() // subscribes and disconnects
		for _, from := range []string{v31, v311, v5} {
			pub(t, addr, from, "-q", "1", "-t", version+"/1", "-m", from+" kept")
			pub(t, addr, from, "-q", "2", "-t", version+"/2", "-m", from+" kept too")
		}
		again := sub(t, addr, version, append(args, "-C", "6")...)
		var got, want []string // QoS 2 is printed when it is released, behind later ones of QoS 1
		for _, from := range []string{v31, v311, v5} {
			want = append(want, "1 "+from+" kept", "2 "+from+" kept too")
		}
		for line, more := again.Next(); more; line, more = again.Next() {
			got = append(got, line)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: want %q in any order, got %q", again.Name, want, got)
		}
	})
}

// TestMosquittoSessionExpires: a session of 5.0 with Session Expiry Interval 0
// ends with its connection.
func TestMosquittoSessionExpires(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		args := []string{"-c", "-i", "id", "-q", "1", "-x", "0", "-t", "t"}
		sub(t, addr, v5, append(args, "-E")...).PrintsAndEnds()
		pub(t, addr, v5, "-q", "1", "-t", "t", "-m", "lost")
		pub(t, addr, v5, "-q", "1", "-r", "-t", "t", "-m", "retained")
		sub(t, addr, v5, append(args, "-C", "1")...).PrintsAndEnds("retained")
	})
}

// TestMosquittoProperties: what a publisher says about its message arrives, and
// is left out for a subscriber of an older version.
func TestMosquittoProperties(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		pub(t, addr, v5, "-r", "-q", "1", "-t", "ready", "-m", "ready")
		five := sub(t, addr, v5, "-q", "1", "-t", "ready", "-t", "t", "-F", "%C|%R|%D|%F|%P|%p", "-C", "2",
			"-D", "subscribe", "subscription-identifier", "7")
		old := sub(t, addr, v311, "-q", "1", "-t", "ready", "-t", "t", "-F", "%C|%R|%D|%p", "-C", "2")
		five.Prints("|||||ready")
		old.Prints("|||ready")
		id := sub(t, addr, v5, "-t", "ready", "-t", "t", "-F", "%S %p", "-C", "2",
			"-D", "subscribe", "subscription-identifier", "268435455")
		id.Prints("268435455 ready")
		pub(t, addr, v5, "-q", "1", "-t", "t", "-m", "m", "-D", "publish", "user-property", "a", "b",
			"-D", "publish", "user-property", "a", "c", "-D", "publish", "content-type", "text/plain",
			"-D", "publish", "response-topic", "answers/1", "-D", "publish", "correlation-data", "corr",
			"-D", "publish", "payload-format-indicator", "1")
		five.PrintsAndEnds("text/plain|answers/1|corr|1|a:b a:c|m")
		old.PrintsAndEnds("|||m")
		id.PrintsAndEnds("268435455 m")
	})
}

// TestMosquittoWillProperties: a will comes with what its client said of it.
func TestMosquittoWillProperties(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		pub(t, addr, v5, "-r", "-q", "1", "-t", "ready", "-m", "ready")
		watch := sub(t, addr, v5, "-t", "ready", "-t", "will", "-F", "%C|%R|%D|%F|%P|%p", "-C", "2")
		watch.Prints("|||||ready")
		dying := sub(t, addr, v5, "-t", "ready", "--will-topic", "will", "--will-payload", "gone",
			"-D", "will", "content-type", "text/plain", "-D", "will", "response-topic", "answers",
			"-D", "will", "correlation-data", "c1", "-D", "will", "payload-format-indicator", "1",
			"-D", "will", "user-property", "a", "b")
		dying.Prints("ready")
		dying.Kill()
		watch.PrintsAndEnds("text/plain|answers|c1|1|a:b|gone")
	})
}

// TestMosquittoJSON: what mosquitto_sub knows of a message, in its own words.
func TestMosquittoJSON(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		pub(t, addr, v5, "-r", "-q", "1", "-t", "t", "-m", "m", "-D", "publish", "content-type", "text/plain",
			"-D", "publish", "response-topic", "answers", "-D", "publish", "correlation-data", "c1",
			"-D", "publish", "user-property", "a", "b", "-D", "publish", "message-expiry-interval", "3600")
		s := sub(t, addr, v5, "-q", "1", "-t", "t", "-F", "%j", "-C", "1")
		line, _ := s.Next()
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: want JSON, got %q: %v; errors: %q", s.Name, line, err, s.Errors())
		}
		properties, _ := got["properties"].(map[string]any)
		left, _ := properties["message-expiry-interval"].(float64)
		if left < 3600-patience.Seconds() || left > 3600 {
			t.Errorf("message-expiry-interval: want about 3600, got %v in %s", left, line)
		}
		delete(properties, "message-expiry-interval")
		delete(got, "tst") // its own time
		want := map[string]any{
			"topic": "t", "qos": 1.0, "retain": 1.0, "payload": "m", "payloadlen": 1.0, "mid": 1.0,
			"properties": map[string]any{
				"content-type": "text/plain", "response-topic": "answers", "correlation-data": "c1",
				"user-properties": map[string]any{"a": "b"},
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\nwant %v\n got %v", s.Name, want, got)
		}
	})
}

// TestMosquittoRequestResponse: mosquitto_rr asks, mosquitto_sub reads the
// question and mosquitto_pub answers it.
func TestMosquittoRequestResponse(t *testing.T) {
	eachVersion(t, func(t *testing.T, addr, version string) {
		question, answers := version+"/question", version+"/answers"
		pub(t, addr, version, "-r", "-q", "1", "-t", version+"/ready", "-m", "ready")
		responder := sub(t, addr, version, "-t", version+"/ready", "-t", question, "-F", "%R|%D|%p", "-C", "2")
		responder.Prints("||ready")
		args := []string{"-q", "1", "-t", question, "-e", answers, "-m", "how are you?"}
		want, answer := "||how are you?", []string{"-q", "1", "-t", answers, "-m", "well"}
		if version == v5 {
			args = append(args, "-D", "publish", "correlation-data", "c1")
			want = answers + "|c1|how are you?"
			answer = append(answer, "-D", "publish", "correlation-data", "c1")
		}
		rr := mosquitto(t, "mosquitto_rr", addr, version, args...)
		responder.PrintsAndEnds(want)
		pub(t, addr, version, answer...)
		rr.PrintsAndEnds("well")
	})
}

// TestMosquittoShared: of two that share a subscription each gets its part, and
// together they get each message once.
func TestMosquittoShared(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		pub(t, addr, v5, "-r", "-q", "1", "-t", "ready", "-m", "ready")
		var members []*testkit.Process
		for range 2 {
			m := sub(t, addr, v5, "-q", "1", "-t", "$share/g/t", "-t", "ready", "-t", "end")
			m.Prints("ready")
			members = append(members, m)
		}
		sent := []string{"1", "2", "3", "4", "5", "6"}
		for _, m := range sent {
			pub(t, addr, v5, "-q", "1", "-t", "t", "-m", m)
		}
		pub(t, addr, v5, "-q", "1", "-t", "end", "-m", "end")
		var got []string
		for _, m := range members {
			part := 0
			for line, more := m.Next(); line != "end"; line, more = m.Next() {
				if !more {
					t.Fatalf("%s ended: %s", m.Name, strings.TrimSpace(m.Errors()))
				}
				got = append(got, line)
				part++
			}
			if part == 0 {
				t.Errorf("%s got nothing of what it shares", m.Name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, sent) {
			t.Errorf("members of $share/g/t: want each of %q once, got %q", sent, got)
		}
	})
}
