// Package standing is how pools, quotas and bought capacity stand at this gateway, for people to look at. It counts
// nothing of its own: it joins what the configuration says with what those know who use it.
package standing

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// State is how all of it stands.
type State struct {
	Members  []Member          // by pool, and within it as configured
	Quotas   []quota.State     // by upstream; of those that no call has asked for, too
	Capacity []config.Capacity // as configured
	// Spills are of each capacity what became of the calls for it since the start, by its name.
	Spills map[string]Calls
	// Models are what opaque ARNs stand for.
	Models map[string]string
}

// Member is a member of a pool.
type Member struct {
	Pool, Order, Upstream string
	Region, Account, Role string // "" where the configuration does not say, as the environment then does
	Weight                int
	Out                   []failover.Out // why it is out, one for each model or one for all; nil when it is in
}

// Calls are those for a capacity.
type Calls struct {
	Served int64
	Left   map[string]int64 // by the reason why another model, or demand, was asked
}

// Of joins what a configuration has with the members that are out, the states of quotas and the calls of capacity.
func Of(c *config.Config, out []failover.Out, quotas []quota.State, calls []telemetry.CapacityCalls) *State {
	return &State{
		Members: members(c, out), Quotas: allQuotas(c, quotas), Capacity: c.Capacity, Spills: spills(calls),
		Models: c.Behind,
	}
}

// members are those of all pools.
func members(c *config.Config, out []failover.Out) (all []Member) {
	absent := map[string][]failover.Out{}
	for _, o := range out {
		absent[o.Upstream] = append(absent[o.Upstream], o)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		for _, m := range p.Members {
			u := upstream(c, m.Upstream)
			all = append(all, Member{
				Pool: name, Order: p.Order, Upstream: cmp.Or(m.Upstream, pools.Default), Region: u.Region,
				Account: account(u.Role.ARN), Role: u.Role.ARN, Weight: m.Weight, Out: absent[m.Upstream],
			})
		}
	}
	return all
}

// upstream is that of a name, "" for the default one.
func upstream(c *config.Config, name string) *config.Upstream {
	if u, further := c.Upstreams[name]; further {
		return &u
	}
	return &c.Upstream
}

// account is that of a role's ARN, "" without one.
func account(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 4 {
		return parts[4]
	}
	return ""
}

// allQuotas are those of the configuration, one for each role that has asked for it, or without calls yet.
func allQuotas(c *config.Config, states []quota.State) (all []quota.State) {
	by := map[quota.Key][]quota.State{}
	for i := range states {
		k := quota.Key{Upstream: states[i].Upstream, Models: states[i].Models}
		by[k] = append(by[k], states[i])
	}
	for _, name := range append([]string{""}, slices.Sorted(maps.Keys(c.Upstreams))...) {
		for _, q := range upstream(c, name).Quotas {
			k := quota.Key{Upstream: name, Models: strings.Join(q.Patterns, " ")}
			of := by[k]
			if delete(by, k); of == nil {
				of = []quota.State{{Key: k, Least: q.Burndown, Most: q.Burndown, Limits: quota.Limits{
					Tokens: q.TokensPerMinute, Requests: q.RequestsPerMinute, Wait: q.Wait, Waiting: q.Waiting,
				}}}
			}
			for i := range of {
				of[i].Upstream = cmp.Or(name, pools.Default)
			}
			all = append(all, of...)
		}
	}
	return all
}

// spills are calls by capacity.
func spills(calls []telemetry.CapacityCalls) map[string]Calls {
	all := map[string]Calls{}
	for _, c := range calls {
		of := all[c.Capacity]
		if of.Left == nil {
			of.Left = map[string]int64{}
		}
		if c.Outcome == telemetry.CapacityServed {
			of.Served += c.Calls
		} else {
			of.Left[c.Outcome] += c.Calls
		}
		all[c.Capacity] = of
	}
	return all
}
