package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/seal"
)

// health is the answer of sys/health.
type health struct {
	Initialized                bool   `json:"initialized"`
	Sealed                     bool   `json:"sealed"`
	Standby                    bool   `json:"standby"`
	PerformanceStandby         bool   `json:"performance_standby"`
	ReplicationPerformanceMode string `json:"replication_performance_mode"`
	ReplicationDRMode          string `json:"replication_dr_mode"`
	ServerTimeUTC              int64  `json:"server_time_utc"` // seconds since 1970
	Version                    string `json:"version"`
	ClusterName                string `json:"cluster_name"`
	ClusterID                  string `json:"cluster_id"`
}

// sealStatus is the answer of sys/seal-status.
type sealStatus struct {
	Type         string `json:"type"`
	Initialized  bool   `json:"initialized"`
	Sealed       bool   `json:"sealed"`
	T            int    `json:"t"` // shares needed
	N            int    `json:"n"` // shares there are
	Progress     int    `json:"progress"`
	Nonce        string `json:"nonce"`
	Version      string `json:"version"`
	BuildDate    string `json:"build_date"`
	Migration    bool   `json:"migration"`
	ClusterName  string `json:"cluster_name"`
	ClusterID    string `json:"cluster_id"`
	RecoverySeal bool   `json:"recovery_seal"`
	StorageType  string `json:"storage_type"`
}

// leader is the answer of sys/leader.
type leader struct {
	HAEnabled            bool   `json:"ha_enabled"`
	IsSelf               bool   `json:"is_self"`
	LeaderAddress        string `json:"leader_address"`
	LeaderClusterAddress string `json:"leader_cluster_address"`
	PerformanceStandby   bool   `json:"performance_standby"`
	ActiveTime           string `json:"active_time,omitempty"` // when this server became active
}

// statusHandlers answer what needs no token, as flat JSON: "METHOD path" →
// handler.
func statusHandlers(c Core) map[string]http.HandlerFunc {
	flat := func(answer func() any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, answer()) }
	}
	healthy := func(w http.ResponseWriter, r *http.Request) { serveHealth(w, r, c) }
	return map[string]http.HandlerFunc{
		"GET sys/health":  healthy,
		"HEAD sys/health": healthy,
		"GET sys/init": flat(func() any {
			return map[string]bool{"initialized": c.Status().Initialized}
		}),
		"GET sys/leader":      func(w http.ResponseWriter, r *http.Request) { serveLeader(w, r, c) },
		"GET sys/seal-status": flat(func() any { return newSealStatus(c.Status()) }),
	}
}

// serveLeader tells which server is active.
func serveLeader(w http.ResponseWriter, r *http.Request, c Core) {
	s := c.Status()
	if !s.Shared {
		writeJSON(w, http.StatusOK, leader{})
		return
	}
	if s.Sealed {
		writeErrors(w, http.StatusServiceUnavailable, seal.ErrSealed)
		return
	}
	node, err := c.Leader(r.Context())
	if err != nil {
		writeErrors(w, http.StatusServiceUnavailable, err)
		return
	}
	answer := leader{HAEnabled: true, IsSelf: !s.Standby, LeaderAddress: node.APIAddr, LeaderClusterAddress: node.ClusterAddr}
	if answer.IsSelf {
		answer.ActiveTime = s.ActiveSince.UTC().Format(time.RFC3339Nano)
	}
	writeJSON(w, http.StatusOK, answer)
}

// newSealStatus describes the seal. A sealed server does not tell its cluster.
func newSealStatus(s core.Status) sealStatus {
	status := sealStatus{
		Type: s.Seal.Type, Initialized: s.Initialized, Sealed: s.Sealed,
		T: s.Seal.Threshold, N: s.Seal.Shares, Progress: s.Seal.Progress, Nonce: s.Seal.Nonce,
		Version: s.Version, RecoverySeal: s.Seal.Recovery, StorageType: s.StoreType,
	}
	if !s.Sealed {
		status.ClusterName, status.ClusterID = s.ClusterName, s.ClusterID
	}
	return status
}

// serveHealth answers with a status that load balancers understand; a client
// may choose another status by the query.
func serveHealth(w http.ResponseWriter, r *http.Request, c Core) {
	s := c.Status()
	status, parameter := http.StatusOK, "activecode"
	switch {
	case !s.Initialized:
		status, parameter = http.StatusNotImplemented, "uninitcode"
	case s.Sealed:
		status, parameter = http.StatusServiceUnavailable, "sealedcode"
	case s.Standby && !accepts(r, "standbyok") && !accepts(r, "perfstandbyok"):
		status, parameter = http.StatusTooManyRequests, "standbycode"
	}
	if chosen := r.URL.Query().Get(parameter); chosen != "" {
		code, err := strconv.Atoi(chosen)
		if err != nil || code < 200 || code > 599 {
			writeErrors(w, http.StatusBadRequest, badRequest("%s must be a status from 200 to 599", parameter))
			return
		}
		status = code
	}
	writeJSON(w, status, health{
		Initialized: s.Initialized, Sealed: s.Sealed, Standby: s.Standby,
		ReplicationPerformanceMode: "disabled", ReplicationDRMode: "disabled",
		ServerTimeUTC: time.Now().Unix(), Version: s.Version, ClusterName: s.ClusterName, ClusterID: s.ClusterID,
	})
}

// accepts reports whether the query says yes to a parameter; a bare one does.
func accepts(r *http.Request, parameter string) bool {
	values, named := r.URL.Query()[parameter]
	return named && (values[0] == "" || values[0] == "true" || values[0] == "1")
}
