package ports

import (
	"net"
	"testing"
)

// TestTake: nobody gets a port that another has taken, though nothing listens there yet, nor one that has a listener.
func TestTake(t *testing.T) {
	few := func() (int, func(), error) { return take(22_100, 3, nil) }
	taken := map[int]func(){}
	for range 3 {
		port, release, err := few()
		if err != nil {
			t.Skip("something else listens at these ports: ", err)
		}
		if taken[port] != nil {
			t.Errorf("%d was given twice", port)
		}
		taken[port] = release
	}
	if port, _, err := few(); err == nil {
		t.Errorf("%d was given, and all were taken", port)
	}
	taken[22_101]()
	if port, release, err := few(); err != nil || port != 22_101 {
		t.Errorf("%d %v, want the one that was released", port, err)
	} else {
		release()
	}
	ln, err := net.Listen("tcp", Addr(22_101))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if port, _, err := few(); err == nil {
		t.Errorf("%d was given, which has a listener", port)
	}
}
