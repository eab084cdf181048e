package broker

// Gone is how many listeners that are gone a reload still looks at. On the loop.
func (b *Broker) Gone() int { return len(b.gone) }

// Encrypting is how many listeners have output that is to be encrypted. On the loop.
func (b *Broker) Encrypting() int { return len(b.encrypting) }
