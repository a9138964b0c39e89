package process

import "net"

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
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // not before the last is chosen: they have to differ
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
