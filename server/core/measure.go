package core

import (
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/lease"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/mount"
)

// tally implements lease.Events: it counts them.
type tally struct{ core *Core }

// Renewed implements lease.Events. The role of a lease that is not known is
// whatever the client made up, and so not told.
func (t tally) Renewed(id string, err error) {
	labels := metric.Labels{}
	if m, path, ok := t.core.mounts.Route(id); ok {
		labels = labelsOf(m, "")
		if !errors.Is(err, lease.ErrNotFound) {
			labels.Role, _ = lease.RoleOf(path)
		}
	}
	name := metric.Renewed
	if err != nil {
		name = metric.RenewalFailed
	}
	t.core.config.Metrics.Count(name, labels)
}

// Ended implements lease.Events.
func (t tally) Ended(in lease.Group, expired bool, err error) {
	labels := metric.Labels{Role: in.Role}
	if m, ok := t.core.mounts.ByUUID(in.Mount); ok {
		labels = labelsOf(m, in.Role)
	}
	name := metric.Revoked
	switch {
	case err != nil:
		name = metric.RevokeFailed
	case expired:
		name = metric.Expired
	}
	t.core.config.Metrics.Count(name, labels)
}

// countCreated counts a credential that has just been issued.
func (c *Core) countCreated(m *mount.Mount, role string) {
	labels := labelsOf(m, role)
	c.config.Metrics.Count(metric.Created, labels)
	if labels.Engine == "database" {
		c.config.Metrics.Count(metric.DatabaseCreated, labels)
	}
}

// observe takes down how long a request took.
func (c *Core) observe(cl *call, req *logical.Request, begun time.Time) {
	path := ""
	if cl.mount != nil {
		path = cl.mount.Entry().Path
	}
	c.config.Metrics.Observe(path, string(req.Operation), time.Since(begun))
}

func labelsOf(m *mount.Mount, role string) metric.Labels {
	entry := m.Entry()
	return metric.Labels{Mount: entry.Path, Role: role, Engine: entry.Type}
}

// gauges returns what can be counted now: leases by mount, how much of each
// limit is used, and what could not be revoked.
func (c *Core) gauges() []metric.Gauge {
	all := []metric.Gauge{{Name: metric.Unsealed, Value: 1}}
	byMount := map[string]int{} // mount id → leases
	for _, m := range c.mounts.Mounts() {
		if !m.BuiltIn() && !m.Entry().IsAuth() {
			byMount[m.Entry().UUID] = 0
		}
	}
	for _, count := range c.leases.Counts() {
		byMount[count.Mount] += count.Leases
		if limit := c.maxLeases(count.Group); limit > 0 {
			all = append(all, c.gauge(metric.LimitUsed, count.Mount, count.Role, float64(count.Leases)/float64(limit)))
		}
	}
	stuck := map[string]int{} // mount id → irrevocable leases
	for _, l := range c.leases.Irrevocables() {
		stuck[l.Mount]++
	}
	for id, leases := range byMount {
		all = append(all,
			c.gauge(metric.Leases, id, "", float64(leases)),
			c.gauge(metric.Irrevocable, id, "", float64(stuck[id])))
	}
	return all
}

// standbyGauges are those of a server that another one is active for: it counts
// nothing, but is not sealed.
func standbyGauges() []metric.Gauge { return []metric.Gauge{{Name: metric.Unsealed, Value: 1}} }

// gauge names a value of a mount, and of a role if one is given.
func (c *Core) gauge(name, id, role string, value float64) metric.Gauge {
	labels := map[string]string{"mount": id, "engine": ""}
	if m, ok := c.mounts.ByUUID(id); ok {
		labels["mount"], labels["engine"] = m.Entry().Path, m.Entry().Type
	}
	if role != "" {
		labels["role"] = role
	}
	return metric.Gauge{Name: name, Labels: labels, Value: value}
}
