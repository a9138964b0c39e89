package elasticstandin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func start(t *testing.T, settings Settings) *Server {
	t.Helper()
	s, err := Start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// ask returns status and body of an answer to user:password.
func ask(t *testing.T, s *Server, who, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	name, password, _ := strings.Cut(who, ":")
	req.SetBasicAuth(name, password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(text))
}

func TestWhatTheRealServerRefusesIsRefused(t *testing.T) {
	s := start(t, Settings{})
	root := Admin + ":" + Password
	ask(t, s, root, "PUT", "/_security/role/readers", `{"indices": [{"names": ["orders"], "privileges": ["read"]}]}`)
	ask(t, s, root, "PUT", "/_security/user/alice", `{"password": "initial", "roles": ["readers"]}`)
	cases := map[string]struct{ who, method, path, body, want string }{
		"a wrong password":             {Admin + ":wrong", "GET", "/", "", "401"},
		"nobody":                       {":", "GET", "/", "", "401"},
		"an unknown path":              {root, "GET", "/_nonsense", "", "400"},
		"an unknown field":             {root, "PUT", "/_security/user/bob", `{"password": "initial", "roles": [], "rolls": []}`, "400"},
		"a body after the body":        {root, "PUT", "/_security/user/bob", `{"password": "initial", "roles": []} {}`, "400"},
		"a short password":             {root, "PUT", "/_security/user/bob", `{"password": "short", "roles": []}`, "400"},
		"an unknown privilege":         {root, "PUT", "/_security/role/all", `{"cluster": ["everything"]}`, "400"},
		"a role that is not there":     {root, "DELETE", "/_security/role/nobodys", "", "404"},
		"another user's administrator": {"alice:initial", "DELETE", "/_security/user/" + Admin, "", "403"},
		"what the role does not grant": {"alice:initial", "POST", "/orders/_doc", `{}`, "403"},
		"what the server is":           {"alice:initial", "GET", "/", "", "403"},
		"another index":                {"alice:initial", "GET", "/customers/_search", "", "403"},
		"to disable nobody":            {root, "PUT", "/_security/user/nobody/_disable", "", "400"},
		"to enable nobody":             {root, "PUT", "/_security/user/nobody/_enable", "", "400"},
		"a password for nobody":        {root, "POST", "/_security/user/nobody/_password", `{"password": "another"}`, "400"},
		"a token of the free license":  {root, "POST", "/_security/oauth2/token", `{"grant_type": "client_credentials"}`, "403"},
		"tokens of the free license":   {root, "DELETE", "/_security/oauth2/token", `{"username": "alice"}`, "403"},
		"keys of nobody":               {root, "DELETE", "/_security/api_key", `{}`, "400"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, s, test.who, test.method, test.path, test.body); !strings.HasPrefix(got, test.want+" ") {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	for _, path := range []string{"/orders/_search", "/_security/_authenticate"} {
		if got := ask(t, s, "alice:initial", "GET", path, ""); !strings.HasPrefix(got, "200 ") {
			t.Errorf("what the role, or everybody, may do: %s: %s", path, got)
		}
	}
}

func TestOpenSearchRefusesChangesThatAreOvertaken(t *testing.T) {
	s := start(t, Settings{OpenSearch: true})
	answers := make([]string, 20)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			path := fmt.Sprintf("/_plugins/_security/api/internalusers/user-%d", i)
			answers[i] = ask(t, s, Admin+":"+Password, "PUT", path, `{"password": "Initial-Password-1"}`)
		})
	}
	group.Wait()
	counts := map[string]int{}
	for _, answer := range answers {
		counts[answer[:3]]++
	}
	if counts["201"] == 0 || counts["409"] == 0 || counts["201"]+counts["409"] != len(answers) {
		t.Errorf("got %v, want some of 201 and some of 409", counts)
	}
	for path, want := range map[string]string{
		"/_plugins/_security/api/internalusers/a:b": "400 ", // no such name could log in
		"/_plugins/_security/api/internalusers/c-d": "201 ",
	} {
		if got := ask(t, s, Admin+":"+Password, "PUT", path, `{"password": "Initial-Password-1"}`); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s", path, got)
		}
	}
}

func TestOpenSearchKnowsNoPathsOfElasticsearch(t *testing.T) {
	s := start(t, Settings{OpenSearch: true})
	if got := ask(t, s, Admin+":"+Password, "GET", "/_security/user", ""); !strings.HasPrefix(got, "400 ") {
		t.Errorf("got %s", got)
	}
	if got := ask(t, s, Admin+":"+Password, "PUT", "/_plugins/_security/api/internalusers/bob", `{"password": "weak"}`); !strings.Contains(got, "Weak password") {
		t.Errorf("got %s", got)
	}
}
