package hostile

import (
	"fmt"
	"math/rand/v2"
)

// garbageRows are random: bytes, and valid packets with some bits turned.
func garbageRows() (rows []attack) {
	packets := validPackets()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		bytes := make([]byte, 1+rng.IntN(5000))
		for i := range bytes {
			bytes[i] = byte(rng.Uint32())
		}
		for _, at := range []stage{bare, in4, in5} {
			rows = append(rows, attack{
				name: fmt.Sprintf("garbage %d, stage %d", seed, at), at: at, send: bytes, want: closes,
				script: func(_ *row, p *peer) { p.halfClose() },
			})
		}
		for i, v := range packets {
			p := packet(v.first, v.body)
			for range 1 + rng.IntN(4) {
				p[rng.IntN(len(p))] ^= 1 << rng.IntN(8)
			}
			if i%6 != int(seed%6) {
				continue
			}
			rows = append(rows, attack{
				name: fmt.Sprintf("%s with bits turned, %d", v.name, seed), at: v.at, send: p, want: closes,
				script: func(_ *row, p *peer) { p.halfClose() },
			})
		}
	}
	return rows
}
