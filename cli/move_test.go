package cli

import "testing"

const moveStatus = "GET /v1/sys/remount/status/abc"

func TestAMountIsMovedAndWaitedFor(t *testing.T) {
	const began, moved = `{"data":{"migration_id":"abc"}}`, `{"data":{"migration_id":"abc","migration_info":{"status":"success"}}}`
	for name, c := range map[string]struct {
		args []string
		body string
		out  string
	}{
		"an engine": {[]string{"secrets", "move", "database", "team-a/database/"}, `{"from":"database/","to":"team-a/database/"}`,
			"Success! Moved the secrets engine from database/ to: team-a/database/\n"},
		"an auth method": {[]string{"auth", "move", "approle", "auth/robots"}, `{"from":"auth/approle/","to":"auth/robots/"}`,
			"Success! Moved the auth method from approle/ to: auth/robots/\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t, map[string]reply{"PUT /v1/sys/remount": {body: began}, moveStatus: {body: moved}})
			at(t, server).run(t, c.args...).want(t, ExitOK, c.out, "")
			requests := server.received()
			if len(requests) != 2 || requests[0].body != c.body || requests[1].line != moveStatus {
				t.Errorf("sent %+v", requests)
			}
		})
	}
}

func TestAMoveThatIsOverAtOnceIsNotAskedAfter(t *testing.T) {
	server := newFakeServer(t, map[string]reply{"PUT /v1/sys/remount": {}})
	at(t, server).run(t, "secrets", "move", "a", "b").want(t, ExitOK, "Success! Moved the secrets engine from a/ to: b/\n", "")
}

func TestAMoveThatFailsIsAnError(t *testing.T) {
	server := newFakeServer(t, map[string]reply{
		"PUT /v1/sys/remount": {body: `{"data":{"migration_id":"abc"}}`}, moveStatus: {body: `{"data":{"migration_info":{"status":"failure"}}}`},
	})
	at(t, server).run(t, "secrets", "move", "a", "b").want(t, ExitServer, "",
		"Error: the move abc ended with \"failure\"\nHint: look into the server's log\n")
	if got := at(t, server).run(t, "secrets", "move", "a"); got.code != ExitLocal || len(server.received()) != 2 {
		t.Errorf("one path: %d %s", got.code, got.stderr)
	}
}
