package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/router/topic"
)

const valid topic.Rule = 0

func ruleOf(t *testing.T, err error) topic.Rule {
	t.Helper()
	if err == nil {
		return valid
	}
	var e *topic.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T, want a *topic.Error", err, err)
	}
	return e.Rule
}

func TestValidateFilter(t *testing.T) {
	for filter, want := range map[string]topic.Rule{
		"a": valid, "/": valid, "//": valid, "a/b": valid, "+": valid, "#": valid, "/#": valid, "+/#": valid, "a//#": valid,
		"+/+/+": valid, "/+": valid, "+/": valid, "a/+/b": valid, " ": valid, "$SYS/#": valid, "é/ü": valid,
		"":       topic.RuleNotEmpty,
		"\x00":   topic.RuleNoNUL,
		"a/\x00": topic.RuleNoNUL,
		"a+":     topic.RulePlusAlone, "+a": topic.RulePlusAlone, "a/b+/c": topic.RulePlusAlone, "++": topic.RulePlusAlone, "+#": topic.RulePlusAlone,
		"a#": topic.RuleHashLast, "#/a": topic.RuleHashLast, "a/#/b": topic.RuleHashLast, "##": topic.RuleHashLast, "a/#b": topic.RuleHashLast, "#/": topic.RuleHashLast,
	} {
		if got := ruleOf(t, topic.ValidateFilter([]byte(filter))); got != want {
			t.Errorf("%q: %v, want %v", filter, got, want)
		}
	}
}

func TestValidateTopic(t *testing.T) {
	for name, want := range map[string]topic.Rule{
		"a": valid, "/": valid, "a/b/c": valid, "$SYS/x": valid, " ": valid, "\x01!\"$": valid,
		"": topic.RuleNotEmpty, "a\x00": topic.RuleNoNUL, "a/+": topic.RuleNoWildcard, "#": topic.RuleNoWildcard, "a+b": topic.RuleNoWildcard,
	} {
		if got := ruleOf(t, topic.ValidateTopic([]byte(name))); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestParseShare(t *testing.T) {
	for in, want := range map[string]struct {
		group, filter string
		shared        bool
		rule          topic.Rule
	}{
		"a/b":              {"", "a/b", false, valid},
		"$share":           {"", "$share", false, valid},
		"$shared/g/a":      {"", "$shared/g/a", false, valid},
		"$share/g/a":       {"g", "a", true, valid},
		"$share/g/+/#":     {"g", "+/#", true, valid},
		"$share/g//":       {"g", "/", true, valid},
		"$share/":          {"", "", true, topic.RuleShareName},
		"$share//a":        {"", "", true, topic.RuleShareName},
		"$share/g+/a":      {"", "", true, topic.RuleShareName},
		"$share/#":         {"", "", true, topic.RuleShareName},
		"$share/g":         {"", "", true, topic.RuleShareNeedsFilter},
		"$share/g/":        {"", "", true, topic.RuleShareNeedsFilter},
		"$share/g/a/#/bad": {"g", "a/#/bad", true, valid}, // the filter is ValidateFilter's to judge
	} {
		group, filter, shared, err := topic.ParseShare([]byte(in))
		if string(group) != want.group || string(filter) != want.filter || shared != want.shared || ruleOf(t, err) != want.rule {
			t.Errorf("%q: group %q filter %q shared %v err %v; want %+v", in, group, filter, shared, err, want)
		}
	}
}

func TestErrorsNameTheThingAndTheWayOut(t *testing.T) {
	err := topic.ValidateFilter([]byte("a/#/b"))
	want := `filter "a/#/b": # must fill the last level; write "a/#", not "a#" or "a/#/b" [MQTT-4.7.1-1]`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	long := topic.ValidateTopic([]byte(strings.Repeat("x", 60_000) + "+"))
	if len(long.Error()) > 200 {
		t.Errorf("an error of %d bytes repeats what a peer sent", len(long.Error()))
	}
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]int{"": 1, "a": 1, "/": 2, "a/b": 2, "//": 3, "a/b/#": 3} {
		if got := topic.Levels([]byte(name)); got != want {
			t.Errorf("Levels(%q) = %d, want %d", name, got, want)
		}
	}
}

// matchTable: section 4.7 of the standard, its examples included.
var matchTable = []struct {
	filter, topic string
	want          bool
}{
	{"sport/tennis/player1/#", "sport/tennis/player1", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"sport/#", "sport", true},
	{"sport/#", "sports", false},
	{"#", "a/b/c", true},
	{"#", "/", true},
	{"sport/tennis/+", "sport/tennis/player1", true},
	{"sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"sport/+", "sport", false},
	{"sport/+", "sport/", true},
	{"+/+", "/finance", true},
	{"/+", "/finance", true},
	{"+", "/finance", false},
	{"#", "$SYS/x", false},
	{"+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"$SYS/#", "$SYS/x", true},
	{"$SYS/#", "$SYS", true},
	{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"+", "$", false},
	{"#", "$", false},
	{"$", "$", true},
	{"a/+", "a/$b", true},
	{"a/#", "a/$b/c", true},
	{"+/$b", "a/$b", true},
	{"+/#", "$a/b", false},
	{"+/#", "a", true},
	{"a", "A", false},
	{"a", "a/", false},
	{"a/", "a", false},
	{"a//b", "a/b", false},
	{"a/+/b", "a//b", true},
	{"/", "/", true},
	{"/a", "a", false},
	{"+/", "a/", true},
	{"/#", "/", true},
	{"/#", "a", false},
	{"+/+/#", "a/b", true},
	{"+/+/#", "a", false},
}

func TestMatchesFollowsTheStandard(t *testing.T) {
	for _, row := range matchTable {
		if got := topic.Matches(row.filter, row.topic); got != row.want {
			t.Errorf("Matches(%q, %q) = %v", row.filter, row.topic, got)
		}
	}
}

func TestIndexAndCursorFollowTheStandard(t *testing.T) {
	for _, row := range matchTable {
		x := topic.NewIndex[int]()
		x.Insert(row.filter, 1)
		if got := len(x.Match([]byte(row.topic))) == 1; got != row.want {
			t.Errorf("Index: %q matches %q: %v", row.filter, row.topic, got)
		}
		var r topic.Retained[int]
		r.Set([]byte(row.topic), 1)
		if got := len(collect(&r, row.filter)) == 1; got != row.want {
			t.Errorf("Cursor: %q matches %q: %v", row.filter, row.topic, got)
		}
	}
}
