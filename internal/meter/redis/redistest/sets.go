package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Cluster is a Redis Cluster.
type Cluster struct{ Nodes []*Server }

// NewCluster starts a cluster of n masters without replicas, at least 3, that
// share the slots.
func NewCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	return newCluster(tb, n, 0)
}

// NewReplicatedCluster starts a cluster of n masters, at least 3, with a replica
// each, and waits until the replicas have caught up.
func NewReplicatedCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	c := newCluster(tb, 2*n, 1)
	for _, s := range c.Nodes {
		s.waitFor("replication", func(state string) bool {
			return strings.Contains(state, "connected_slaves:1") || strings.Contains(state, "master_link_status:up")
		}, "info", "replication")
	}
	return c
}

// Masters are the nodes that live and are masters now.
func (c *Cluster) Masters() []*Server {
	var masters []*Server
	for _, s := range c.Nodes {
		if s.proc != nil && strings.Contains(s.CLI("info", "replication"), "role:master") {
			masters = append(masters, s)
		}
	}
	return masters
}

func newCluster(tb testing.TB, n, replicas int) *Cluster {
	tb.Helper()
	c := &Cluster{}
	create := []string{"--cluster", "create", "--cluster-replicas", strconv.Itoa(replicas)}
	for range n {
		s := NewServer(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		c.Nodes = append(c.Nodes, s)
		create = append(create, s.Addr)
	}
	cli(tb, append(create, "--cluster-yes")...)
	for _, s := range c.Nodes {
		s.waitFor("complete cluster", func(state string) bool {
			return strings.Contains(state, "cluster_state:ok")
		}, "cluster", "info")
	}
	return c
}

// URL names every node.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Nodes))
	for i, s := range c.Nodes {
		addrs[i] = s.Addr
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

// SentinelSet is a master with one replica, watched by three sentinels.
type SentinelSet struct {
	Master, Replica *Server
	Sentinels       []*Server
}

const masterName = "books"

// NewSentinelSet starts the set and waits until the replica has caught up and
// the sentinels know it.
func NewSentinelSet(tb testing.TB) *SentinelSet {
	tb.Helper()
	set := &SentinelSet{Master: NewServer(tb)}
	set.Replica = NewServer(tb, "--replicaof", "127.0.0.1", strconv.Itoa(set.Master.Port))
	set.Replica.waitFor("replication", func(state string) bool {
		return strings.Contains(state, "master_link_status:up")
	}, "info", "replication")
	for range 3 {
		set.Sentinels = append(set.Sentinels, startSentinel(tb, set.Master.Port))
	}
	for _, s := range set.Sentinels {
		s.waitFor("complete sentinel set", func(state string) bool {
			return strings.Contains(state, "num-slaves\n1\n") && strings.Contains(state, "num-other-sentinels\n2\n")
		}, "sentinel", "master", masterName)
	}
	return set
}

func startSentinel(tb testing.TB, master int) *Server {
	tb.Helper()
	s := &Server{Port: freePort(tb), Dir: tempDir(tb), tb: tb, args: []string{"--sentinel"}}
	s.Addr = "127.0.0.1:" + strconv.Itoa(s.Port)
	conf := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 2\n"+
		"sentinel down-after-milliseconds %[1]s 1000\n"+
		"sentinel failover-timeout %[1]s 4000\n", masterName, master)
	if err := os.WriteFile(filepath.Join(s.Dir, "sentinel.conf"), []byte(conf), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	s.Start()
	return s
}

// URL names every sentinel and the watched master.
func (s *SentinelSet) URL() string {
	addrs := make([]string, len(s.Sentinels))
	for i, one := range s.Sentinels {
		addrs[i] = one.Addr
	}
	return "redis-sentinel://" + strings.Join(addrs, ",") + "/" + masterName + "/0"
}

// Failover kills the master and waits until the replica has taken its place, and
// every sentinel sends clients there.
func (s *SentinelSet) Failover() {
	s.Master.Kill()
	s.Replica.waitFor("promotion", func(state string) bool {
		return strings.Contains(state, "role:master")
	}, "info", "replication")
	for _, one := range s.Sentinels {
		one.waitFor("new master", func(addr string) bool {
			return strings.HasSuffix(addr, strconv.Itoa(s.Replica.Port))
		}, "sentinel", "get-master-addr-by-name", masterName)
	}
}
