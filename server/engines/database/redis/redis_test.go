package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The behaviour against real servers is tested in the other files. Here is what
// needs none.

const secret = `p@ss:w/rd?'"\%41 {{username}}#`

func with(others map[string]any) map[string]any {
	all := map[string]any{"username": "odd'admin", "password": secret}
	for field, value := range others {
		all[field] = value
	}
	return all
}

func TestSettingsSayWhereRedisIs(t *testing.T) {
	cases := map[string]struct {
		given              map[string]any
		host               string
		port               int
		username, password string
		encrypted          bool
	}{
		"host alone":                 {map[string]any{"host": "db.example"}, "db.example", 6379, "odd'admin", secret, false},
		"host and port":              {map[string]any{"host": "db.example", "port": "6380", "tls": true}, "db.example", 6380, "odd'admin", secret, true},
		"URL":                        {map[string]any{"connection_url": "redis://{{username}}:{{password}}@db.example:6380/0"}, "db.example", 6380, "odd'admin", secret, false},
		"URL with TLS":               {map[string]any{"connection_url": "rediss://{{username}}:{{password}}@db.example"}, "db.example", 6379, "odd'admin", secret, true},
		"URL of the default user":    {map[string]any{"connection_url": "redis://:{{password}}@db.example"}, "db.example", 6379, "", secret, false},
		"URL with a literal account": {map[string]any{"connection_url": "redis://a%40b:c%2Fd@[::1]:1"}, "::1", 1, "a@b", "c/d", false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := decodeSettings(with(test.given))
			if err != nil {
				t.Fatal(err)
			}
			if s.Host != test.host || s.Port != test.port || s.Username != test.username || s.Password != test.password || (s.encryption != nil) != test.encrypted {
				t.Errorf("got %s port %d as %q with %q, TLS %t", s.Host, s.Port, s.Username, s.Password, s.encryption != nil)
			}
		})
	}
}

func TestListsOfAddressesMayBeTextsOrLists(t *testing.T) {
	for name, given := range map[string]any{
		"a text":        "a.example:7000, b.example,[::1]:7001,::1",
		"a list":        []any{"a.example:7000", "b.example", "[::1]:7001", "[::1]"},
		"a bit of both": []string{"a.example:7000,b.example,", "[::1]:7001,::1"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := decodeSettings(with(map[string]any{"addresses": given}))
			want := []string{"a.example:7000", "b.example:6379", "[::1]:7001", "[::1]:6379"}
			if err != nil || !slices.Equal(s.Addresses, want) {
				t.Errorf("got %q, %v; want %q", s.Addresses, err, want)
			}
		})
	}
}

func TestSettingsThatCannotWorkAreRefusedWithAHint(t *testing.T) {
	cases := map[string]struct {
		given map[string]any
		says  string
	}{
		"nothing":                        {nil, "write host=… (one server)"},
		"two ways":                       {map[string]any{"host": "a", "addresses": "b"}, "host and addresses say where Redis is"},
		"a port without a host":          {map[string]any{"addresses": "a", "port": 1}, "write the port into addresses"},
		"a port that is none":            {map[string]any{"host": "a", "port": 70000}, "port 70000 is none"},
		"a typo":                         {map[string]any{"hots": "a"}, `did you mean "host"?`},
		"sentinels without a master":     {map[string]any{"host": "a", "sentinel_addresses": "b"}, "sentinel_master is missing"},
		"a master without sentinels":     {map[string]any{"sentinel_master": "shop"}, "sentinel_addresses is missing"},
		"empty addresses":                {map[string]any{"addresses": " , "}, "addresses is empty"},
		"a URL in addresses":             {map[string]any{"addresses": "redis://a:1"}, "addresses holds something that is no address"},
		"a URL of another kind":          {map[string]any{"connection_url": "http://a"}, "connection_url cannot be parsed"},
		"a URL without a host":           {map[string]any{"connection_url": "redis:///0"}, "connection_url cannot be parsed"},
		"a URL that is none":             {map[string]any{"connection_url": "redis://a:" + "hunter2-secret" + "%zz@b"}, "connection_url cannot be parsed"},
		"a URL with a setting":           {map[string]any{"connection_url": "redis://a?db=1"}, `connection_url has the setting "db"`},
		"a URL with a path":              {map[string]any{"connection_url": "redis://a/shop"}, "no number of a database"},
		"a URL whose password lacks":     {map[string]any{"connection_url": "redis://:{{password}}@a", "password": ""}, "password is missing"},
		"an unknown way to persist":      {map[string]any{"host": "a", "persistence_mode": "REWRIT"}, `did you mean "REWRITE"?`},
		"certificates without TLS":       {map[string]any{"host": "a", "ca_cert": "x"}, "write tls=true"},
		"an authority that is none":      {map[string]any{"host": "a", "tls": true, "ca_cert": "hunter2-secret"}, "ca_cert holds no certificate"},
		"a key that is none":             {map[string]any{"host": "a", "tls": true, "tls_certificate_key": "hunter2-secret"}, "tls_certificate_key is no certificate"},
		"a username template that stays": {map[string]any{"host": "a", "username_template": "fixed"}, "add {{random 12}}"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New().Initialize(t.Context(), dbplugin.InitializeRequest{Config: with(test.given)})
			if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret)) {
				t.Errorf("error %q gives a secret away", err)
			}
		})
	}
}

func TestRulesThatAreNotTheOperatorsAreRefused(t *testing.T) {
	cases := map[string]struct {
		statements []string
		says       string
	}{
		"none":                     {nil, "creation_statements is empty"},
		"blanks":                   {[]string{" ", "[]"}, "creation_statements is empty"},
		"a password":               {[]string{"~* >hunter2-secret +get"}, `a rule that begins with ">"`},
		"a password in JSON":       {[]string{`["~*", ">hunter2-secret"]`}, `a rule that begins with ">"`},
		"a password to take away":  {[]string{"<hunter2-secret"}, `a rule that begins with "<"`},
		"a hash":                   {[]string{"#" + strings.Repeat("a", 64)}, `a rule that begins with "#"`},
		"a hash to take away":      {[]string{"!" + strings.Repeat("a", 64)}, `a rule that begins with "!"`},
		"no password":              {[]string{"~* NoPass"}, `the rule "NoPass"`},
		"no password in quotes":    {[]string{`'nopass'`}, `the rule "nopass"`},
		"other passwords":          {[]string{"resetpass"}, `the rule "resetpass"`},
		"on":                       {[]string{"on ~* +@all"}, `the rule "on": remove it`},
		"off":                      {[]string{"~*", "OFF"}, `the rule "OFF"`},
		"everything anew":          {[]string{`["reset"]`}, `the rule "reset"`},
		"an empty rule":            {[]string{`["", "+get"]`}, "an empty rule"},
		"empty quotes":             {[]string{`'' +get`}, "an empty rule"},
		"an open quote":            {[]string{`'~a +get`}, "a quote without its end"},
		"text behind a quote":      {[]string{`'~a'+get`}, `no space after the rule "~a"`},
		"broken JSON":              {[]string{`["~a", +get]`}, "no list of texts in JSON"},
		"JSON of something else":   {[]string{`[1]`}, "no list of texts in JSON"},
		"the password of the user": {[]string{`~{{password}}`}, "unknown placeholder {{password}}: use {{name}}, {{username}}"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			rules, err := rulesOf(test.statements, "v-app")
			if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, %v; want %q", rules, err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q gives a password away", err)
			}
		})
	}
}

func FuzzRules(f *testing.F) {
	f.Add(`~app:* +@read -@dangerous`)
	f.Add(`["~app:*", "(+get ~b*)", ">x"]`)
	f.Add(`'(+get ~cache:*)' "~it's" on`)
	f.Add("[\"\\u003ex\"]\n' '")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := rulesOf([]string{text}, "v-app")
		if err != nil {
			return
		}
		if len(rules) == 0 {
			t.Error("no rules and no error")
		}
		for _, rule := range rules {
			if rule == "" || strings.ContainsAny(rule[:1], "><#!") || strings.EqualFold(rule, "nopass") || strings.EqualFold(rule, "on") {
				t.Errorf("%q lets the rule %q through", text, rule)
			}
		}
	})
}

func TestAClusterNamesItsServers(t *testing.T) {
	const text = `07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.4:30004@31004,four.example slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.0.0.2:30002@31002,two.example,shard-id=1 master,fail - 0 1426238316232 2 connected 5461-10922
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f ::1:30003@31003 master,fail? - 0 1426238318243 3 connected 10923-16383
6ec23923021cf3ffec47632106199cb7f496ce01 10.0.0.9:30009@31009 handshake - 0 0 0 disconnected
824fe116063bc5fcf9f4ffd895bc17aee7731ac3 :30001@31001 myself,master - 0 1426238317741 1 connected 0-5460
`
	cases := map[string]struct {
		named bool
		want  []node
	}{
		"by address":       {false, []node{{"10.0.0.4:30004", false}, {"10.0.0.2:30002", true}, {"[::1]:30003", false}, {"seed.example:30001", false}}},
		"by name, for TLS": {true, []node{{"four.example:30004", false}, {"two.example:30002", true}, {"[::1]:30003", false}, {"seed.example:30001", false}}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := clusterMembers(text, "seed.example", test.named); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
	for name, test := range map[string]struct{ text, says string }{
		"a server without an address": {"07c3 :0@0 master,noaddr - 0 0 1 disconnected 0-1", `has lost the address of its server "07c3"`},
		"nonsense":                    {"hello", "not understood"},
		"nothing":                     {"", "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := clusterMembers(test.text, "seed", false); err == nil || fault.ClassOf(err) != fault.Later || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, %v; want %q", got, err, test.says)
			}
		})
	}
}

func FuzzClusterMembers(f *testing.F) {
	f.Add("07c3 10.0.0.4:30004@31004,four.example slave e7d1 0 1 4 connected", true)
	f.Add("a :1@2 myself,master\nb ::1:3 noaddr\n", false)
	f.Fuzz(func(t *testing.T, text string, named bool) {
		members, err := clusterMembers(text, "seed", named)
		if (err == nil) == (len(members) == 0) {
			t.Errorf("%d members and %v", len(members), err)
		}
	})
}

// refusal is an answer of a server.
type refusal = redis.Error

func TestErrorsHaveAClassAndAHint(t *testing.T) {
	cases := []struct {
		err   error
		class fault.Class
		hint  string
	}{
		{refusal("WRONGPASS invalid username-password pair or user is disabled."), fault.Later, "check username and password"},
		{refusal("NOAUTH Authentication required."), fault.Later, "write username and password"},
		{refusal("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"), fault.Later, "has no password"},
		{refusal("NOPERM this user has no permissions to run the 'acl|setuser' command"), fault.Refused, "README"},
		{refusal("ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL"), fault.Refused, "correct the rule"},
		{refusal("LOADING Redis is loading the dataset in memory"), fault.Later, "try again"},
		{refusal("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), fault.Later, "try again"},
		{refusal("READONLY You can't write against a read only replica."), fault.Later, "failover"},
		{refusal("CLUSTERDOWN The cluster is down"), fault.Later, "not complete"},
		{refusal("OOM command not allowed when used memory > 'maxmemory'."), fault.Later, "maxmemory"},
		{refusal("BUSY Redis is busy running a script."), fault.Later, "script"},
		{refusal("ERR max number of clients reached"), fault.Later, "maxclients"},
		{refusal("ERR This instance has cluster support disabled"), fault.Refused, "in place of addresses"},
		{refusal("ERR something nobody has heard of"), fault.Refused, "documentation"},
		{&net.DNSError{Err: "no such host", Name: "db.example"}, fault.Later, "host name"},
		{fmt.Errorf("dial tcp 127.0.0.1:1: connect: connection refused"), fault.Later, "server runs"},
		{errors.New("tls: first record does not look like a TLS handshake"), fault.Later, "ca_cert"},
		{context.DeadlineExceeded, fault.Later, "in time"},
		{io.EOF, fault.Later, "tls=true"},
		{io.ErrUnexpectedEOF, fault.Later, "try again"},
		{fault.New(fault.NoUser, "gone"), fault.NoUser, "gone"},
	}
	d := &Database{settings: settings{SentinelPassword: "sentinels-own"}}
	d.settings.Password = "hunter2-secret"
	for _, test := range cases {
		t.Run(test.err.Error(), func(t *testing.T) {
			got := d.explain(test.err, "testing")
			if fault.ClassOf(got) != test.class || !strings.Contains(got.Error(), test.hint) || !strings.HasPrefix(got.Error(), "testing: ") {
				t.Errorf("got %v in class %d, want class %d and %q", got, fault.ClassOf(got), test.class, test.hint)
			}
		})
	}
	for _, err := range []error{refusal("ERR hunter2-secret, sentinels-own"), errors.New("hunter2-secret, sentinels-own")} {
		if got := d.explain(err, "testing").Error(); strings.Contains(got, "hunter2") || strings.Contains(got, "own") {
			t.Errorf("error %q gives a password away", got)
		}
	}
}

func TestAPluginThatIsNotInitializedSaysSo(t *testing.T) {
	if _, err := New().DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "a"}); err == nil || !strings.Contains(err.Error(), "call Initialize first") {
		t.Errorf("got %v", err)
	}
}
