package guard

// Sizes are those of the tables.
func (g *Guard) Sizes() (addresses, users, known int) {
	return len(g.addresses.where), len(g.users.where), len(g.known.where)
}
