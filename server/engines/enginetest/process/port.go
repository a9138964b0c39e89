package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports to choose from are below those that Linux gives to connections and to
// whoever asks for any: one of these could be taken while its server is not there
// yet, or is down.
const (
	firstPort = 20_000
	lastPort  = 29_999
)

// FreePort returns a port of loopback that nobody listens on.
func FreePort() (int, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts returns as many of them, all different.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for _, above := range rand.Perm(lastPort - firstPort + 1) {
		if len(ports) == n {
			return ports, nil
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+above)))
		if err != nil {
			continue // somebody listens there
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, firstPort+above)
	}
	return nil, fmt.Errorf("looking for %d free ports from %d to %d: there are only %d; end what listens there", n, firstPort, lastPort, len(ports))
}
