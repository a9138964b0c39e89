package cli

import (
	"testing"
)

func TestAlertsAreListedWithTheirStates(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"GET /v1/sys/alerts": {body: `{"data":{"alerts":[
			{"name":"high","condition":"rate(a) > 100/min","severity":"warning","state":"firing","value":2.5,"since":"2026-01-02T03:04:05Z","error":"no route"},
			{"name":"sealed","condition":"core.unsealed < 1","severity":"critical","state":"inactive","value":1,"since":null,"error":""}]}}`},
	})
	at(t, server).run(t, "alerts", "list").want(t, ExitOK, ``+
		"Name      State       Severity    Value    Since                   Condition\n"+
		"----      -----       --------    -----    -----                   ---------\n"+
		"high      firing      warning     2.5      2026-01-02T03:04:05Z    rate(a) > 100/min\n"+
		"sealed    inactive    critical    1        n/a                     core.unsealed < 1\n",
		"Warning: alert high: not everybody could be told: no route\n")
	got := at(t, server).run(t, "alerts", "list", "-format=json")
	mentions(t, got.stdout, `"name": "high"`, `"state": "inactive"`)
}

func TestAServerWithoutAlertsSaysSo(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"GET /v1/sys/alerts": {body: `{"data":{"alerts":[]}}`}})
	at(t, server).run(t, "alerts", "list").want(t, ExitOK, "The server's configuration has no alerts.\n", "")
}

func TestAlertsAreExportedAsTheyCame(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"GET /v1/sys/alerts/export": {body: `{"data":{"rules":"groups:\n  - name: securevault\n"}}`},
	})
	at(t, server).run(t, "alerts", "export").want(t, ExitOK, "groups:\n  - name: securevault\n", "")
}
