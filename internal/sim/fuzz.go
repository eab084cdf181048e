package sim

// PlanOf makes a plan of bytes that a fuzzer chose: eight for the seed, which
// draws limits and faults, then six for each operation. It has at most 200
// operations.
func PlanOf(b []byte) *Plan {
	in := &input{b: b}
	p := Draw(uint64(in.number(4))<<32 | uint64(in.number(4)))
	p.Ops, p.CheckEvery = p.Ops[:0], 1
	for len(in.b) >= 6 && len(p.Ops) < 200 {
		kind, who := byte(in.number(1)), byte(in.number(1))
		p.Ops = append(p.Ops, Op{kind % opKinds, who % uint8(p.Clients), in.number(4)})
	}
	return p
}

// Bytes is the opposite of PlanOf.
func (p *Plan) Bytes() []byte {
	b := u32(u32(nil, uint32(p.Seed>>32)), uint32(p.Seed))
	for _, op := range p.Ops {
		b = u32(append(b, op.Kind, op.Client), op.Seed)
	}
	return b
}
