package local

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// loopback is the only address on which anything of this package listens.
const loopback = "127.0.0.1"

// PortTakenError says that another program listens on a port that was asked for.
type PortTakenError struct {
	Port int
	Flag string // the flag that picks another port, such as "--postgres-port"
}

func (e *PortTakenError) Error() string {
	if e.Flag == "" {
		return fmt.Sprintf("port %d is taken: stop what listens there or choose another port", e.Port)
	}
	return fmt.Sprintf("port %d is taken: stop what listens there or pass %s", e.Port, e.Flag)
}

// CheckPort returns a *PortTakenError when nobody can listen on 127.0.0.1:port
// because somebody does. flag is named in it.
func CheckPort(port int, flag string) error {
	listener, err := listen(port)
	if err != nil {
		return &PortTakenError{Port: port, Flag: flag}
	}
	return listener.Close()
}

// FreePort returns a TCP port of 127.0.0.1 on which nobody listened just now.
// Another program may take it before the caller does.
func FreePort() (int, error) {
	return freePorts(1)
}

// freePairs is how often freePorts looks for neighbours before it gives up.
const freePairs = 100

// freePorts returns the first of n consecutive free ports.
func freePorts(n int) (int, error) {
	for range freePairs {
		port, err := consecutive(n)
		if err == nil {
			return port, nil
		}
	}
	return 0, errors.New("no free ports on " + loopback + ": close some programs")
}

func consecutive(n int) (int, error) {
	first, err := listen(0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = first.Close() }()
	port := first.Addr().(*net.TCPAddr).Port
	for i := 1; i < n; i++ {
		if err := CheckPort(port+i, ""); err != nil {
			return 0, err
		}
	}
	return port, nil
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port))) //nolint:noctx // binds a local port, which does not block
}
