package topic_test

import (
	"fmt"

	"github.com/loopmq/loopmq/router/topic"
)

func ExampleIndex_Match() {
	x := topic.NewIndex[string]()
	x.Insert("site/+/temperature", "dashboard")
	x.Insert("site/12/#", "recorder")
	x.Insert("site/12/#", "alarm")
	x.Insert("site/7/temperature", "boiler")
	for _, subscribers := range x.Match([]byte("site/12/temperature")) {
		fmt.Println(subscribers)
	}
	// Output:
	// [recorder alarm]
	// [dashboard]
}

func ExampleRetained_Cursor() {
	var r topic.Retained[string]
	r.Set([]byte("site/7/door"), "open")
	r.Set([]byte("site/12/door"), "shut")
	r.Set([]byte("site/12/lamp"), "off")
	c := r.Cursor("site/+/door")
	defer c.Close()
	for done := false; !done; {
		done = c.Next(2, func(m string) bool { // two nodes a turn; other work in between
			fmt.Println(m)
			return true
		})
	}
	// Output:
	// shut
	// open
}
