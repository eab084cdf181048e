package store_test

import (
	"fmt"
	"os"

	"github.com/loopmq/loopmq/store"
)

// The owner is one goroutine; here it is the example itself, and its loop is
// the one receive from posts.
func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	posts := make(chan func(), 16)
	s, err := store.Open(dir, store.Options{Post: func(f func()) { posts <- f }, SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	const sessions store.Table = 1
	body := store.KeyOf(store.Cold, 1)
	s.Put(store.KeyOf(sessions, 7), []byte("session of client 7"), nil)
	s.Put(body, []byte("a/topic "), []byte("payload"))
	s.Seal(func(err error) { fmt.Println("durable:", err == nil) })
	(<-posts)()

	s.Read([]store.Key{body}, func(v []store.Value) { fmt.Printf("%s\n", v[0].Data) })
	(<-posts)()
	_ = s.Load(func(k store.Key, size int, value []byte) error {
		fmt.Printf("%v: %q\n", k, value)
		return nil
	})
	// Output:
	// durable: true
	// a/topic payload
	// 1/7: "session of client 7"
	// 128/1: ""
}
