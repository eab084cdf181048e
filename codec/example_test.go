package codec_test

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// A reader frames packets in its buffer and decodes them in place.
func ExampleNext() {
	buffer := []byte("\x30\x07\x00\x01ahey!" + codec.PingreqFrame + "\x30")
	for {
		k, n, err := codec.Next(buffer, 1<<20)
		if err != nil || n == 0 {
			fmt.Println(len(buffer), "byte left,", err)
			return
		}
		fmt.Println(k.Type)
		if k.Type == codec.TypePublish {
			var p codec.Publish
			if err := p.Decode(&k, codec.V311); err == nil {
				fmt.Printf("%s: %s\n", p.Topic, p.Payload)
			}
		}
		buffer = buffer[n:]
	}
	// Output:
	// PUBLISH
	// a: hey!
	// PINGREQ
	// 1 byte left, <nil>
}
