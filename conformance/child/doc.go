// Package child runs a broker in a process of its own for tests that measure it: the test binary starts itself again.
//
// Owner: a Server belongs to the test that started it. Imports: broker, loop and router, in the child
// only.
// Start with: Asked and Serve in a TestMain, Start in a test, Server.Ask, Server.Restart.
// Caveats: the figures of /proc are those of Linux.
package child
