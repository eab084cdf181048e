package loop

// kinds lists the engines of this platform, the default one first.
func kinds() []engineKind {
	return []engineKind{{"epoll", openEpoll}, {"evio", openEvio}}
}
