package admin

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"
)

// family is a figure, of which there may be several told apart by a label.
type family struct {
	name    string // with dots, as in "secret.lease.renew"
	help    string
	counter bool   // it only rises while the agent runs; else it is a gauge
	label   string // "" for a figure that there is once
	samples []sample
}

type sample struct {
	label string // the value of the family's label
	value float64
}

// metrics answers with every figure in the Prometheus text format.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	status, ok := s.look(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", prometheusType)
	// The caller may have gone away; there is nobody left to tell.
	_ = writePrometheus(w, s.figures(status))
}

// figures turns a status into figures. The first five have the names by which
// the server counts the same things.
func (s *Server) figures(status Status) []family {
	c := status.Counters
	hits, misses, kept := s.proxy.cache.counts()
	families := []family{
		counter("secret.dynamic.create", "Credentials with a lease that were issued to this agent.", c.Created),
		counter("secret.lease.renew", "Leases renewed.", c.Renewed),
		counter("secret.lease.renew.failure", "Renewals that failed.", c.RenewalFailed),
		counter("secret.lease.expire", "Leases that ended by themselves.", c.Expired),
		counter("secret.lease.revoke", "Leases revoked.", c.Revoked),
		counter("securevault.agent.static.read", "Secrets without a lease that were read for the first time, or had changed.", c.Read),
		counter("securevault.agent.rotations", "Credentials replaced by a successor.", c.Rotated),
		counter("securevault.agent.adoptions", "Credentials taken over from an earlier run.", c.Adopted),
		counter("securevault.agent.requests", "Requests for secrets, renewals and revocations.", c.Requests),
		counter("securevault.agent.requests.failure", "Requests that failed.", c.Failed),
		counter("securevault.agent.hooks.failure", "Commands, signals and the like that failed to tell the app.", status.Hooks.Failures),
		counter("securevault.agent.proxy.requests", "Requests passed on to the server for callers.", s.proxy.passedOn()),
		counter("securevault.agent.cache.hits", "Requests answered from the cache.", hits),
		counter("securevault.agent.cache.misses", "Requests that the cache had no answer for.", misses),
		gauge("securevault.agent.cache.entries", "Answers in the cache.", float64(kept)),
		gauge("securevault.agent.leases", "Leases held.", float64(c.Leases)),
		gauge("securevault.agent.generation", "Rises with every change of any secret.", float64(status.Generation)),
		gauge("securevault.agent.ready", "1 if everything is rendered and told and nothing is too old.", bit(status.Ready)),
		gauge("securevault.agent.hooks.pending", "1 if the app has still to be told of something.", bit(status.Hooks.Pending)),
		gauge("securevault.agent.authenticated", "1 if the agent has a token and its last login or renewal succeeded.", bit(status.Token.Epoch > 0 && status.Token.Error == "")),
		gauge("securevault.agent.start.timestamp.seconds", "When the agent was started, as Unix time.", unix(status.Started)),
	}
	if !status.Token.Ends.IsZero() {
		families = append(families, gauge("securevault.agent.token.ttl.seconds", "Time until the token ends.", left(status.Token.Ends, status.Now)))
	}
	families = append(families, credentialFigures(status)...)
	return append(families, outputFigures(status)...)
}

// credentialFigures are those of each path. Several credentials of one path,
// with other parameters say, count as the one that is worst off.
func credentialFigures(status Status) []family {
	ttl, failing := make(map[string]float64), make(map[string]float64)
	for _, c := range status.Credentials {
		if !c.Ends.IsZero() {
			seconds := left(c.Ends, status.Now)
			if known, ok := ttl[c.Path]; ok {
				seconds = min(known, seconds)
			}
			ttl[c.Path] = seconds
		}
		failing[c.Path] = max(failing[c.Path], float64(c.Failures))
	}
	return []family{
		labelled("securevault.agent.lease.ttl.seconds", "Time until the lease ends.", "path", ttl),
		labelled("securevault.agent.secret.failures", "Requests for the secret that have failed in a row.", "path", failing),
	}
}

// outputFigures are those of each template.
func outputFigures(status Status) []family {
	up, generation, changed := make(map[string]float64), make(map[string]float64), make(map[string]float64)
	for _, o := range status.Outputs {
		up[o.Destination] = bit(o.State == Published)
		generation[o.Destination] = float64(o.Generation)
		if !o.Changed.IsZero() {
			changed[o.Destination] = unix(o.Changed)
		}
	}
	return []family{
		labelled("securevault.agent.template.up", "1 if the destination holds the newest secrets.", "destination", up),
		labelled("securevault.agent.template.generation", "Generation of the newest secret in the destination.", "destination", generation),
		labelled("securevault.agent.template.changed.timestamp.seconds", "When the content of the destination changed last, as Unix time.", "destination", changed),
	}
}

func counter(name, help string, value int) family {
	return family{name: name, help: help, counter: true, samples: []sample{{value: float64(value)}}}
}

func gauge(name, help string, value float64) family {
	return family{name: name, help: help, samples: []sample{{value: value}}}
}

func labelled(name, help, label string, values map[string]float64) family {
	f := family{name: name, help: help, label: label}
	for _, value := range slices.SortedFunc(maps.Keys(values), cmp.Compare[string]) {
		f.samples = append(f.samples, sample{value, values[value]})
	}
	return f
}

func bit(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func left(ends, now time.Time) float64 { return max(ends.Sub(now).Seconds(), 0) }

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
