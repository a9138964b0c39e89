package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// secrets is who the stand-ins of AWS know: access key → secret key. Nothing
// that is tested may show a secret key or a session token.
var secrets = map[string]string{
	"AKCONFIG": "hunter2-config", "AKENV": "hunter2-env", "AKFILE": "hunter2-file", "AKTEAM": "hunter2-team",
	"AKECS": "hunter2-ecs", "AKEC2": "hunter2-ec2", "AKWEB": "hunter2-web",
}

// awsStandIn stands in for the metadata of an instance, the endpoint of a
// container and STS, as AWS documents them.
func awsStandIn(t *testing.T) cloud {
	t.Helper()
	instance := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-aws-ec2-metadata-token") != "imds-token" {
				http.Error(w, "", http.StatusUnauthorized) // version 1 is switched off
				return
			}
			says(text)(w, r)
		}
	}
	document := func(key string) string {
		return `{"Code":"Success","AccessKeyId":"` + key + `","SecretAccessKey":"` + secrets[key] + `","Token":"session-` + key + `"}`
	}
	return standIn(t, map[string]http.HandlerFunc{
		"PUT 169.254.169.254/latest/api/token": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" || r.Header.Get("X-Forwarded-For") != "" {
				http.Error(w, "", http.StatusBadRequest)
				return
			}
			says("imds-token")(w, r)
		},
		"GET 169.254.169.254/latest/meta-data/iam/security-credentials/{$}":      instance("app-role\n"),
		"GET 169.254.169.254/latest/meta-data/iam/security-credentials/app-role": instance(document("AKEC2")),
		"GET 169.254.169.254/latest/dynamic/instance-identity/rsa2048":           instance("MIIB\nCgKC\nAQEA\n"),
		"GET 169.254.170.2/v2/credentials/task": func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "" && got != "pod-token" {
				http.Error(w, "", http.StatusForbidden)
				return
			}
			says(document("AKECS"))(w, r)
		},
		"GET 169.254.170.23/v1/credentials": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "pod-token" {
				http.Error(w, "", http.StatusForbidden)
				return
			}
			says(document("AKECS"))(w, r)
		},
		"POST sts.eu-west-1.amazonaws.com/": stsStandIn,
	})
}

// stsStandIn answers AssumeRoleWithWebIdentity, which is not signed: the
// token is the proof.
func stsStandIn(w http.ResponseWriter, r *http.Request) {
	want := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::1:role/app"},
		"RoleSessionName": {"securevault"}, "WebIdentityToken": {"web-token"},
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Encode() != want.Encode() {
		fails(http.StatusForbidden, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")(w, r)
		return
	}
	says(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>session-AKWEB</SessionToken>`+
		`<SecretAccessKey>`+secrets["AKWEB"]+`</SecretAccessKey><AccessKeyId>AKWEB</AccessKeyId></Credentials>`+
		`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)(w, r)
}

func newTestAWS(t *testing.T, cfg AWSConfig) *AWS {
	t.Helper()
	cfg.Mount, cfg.Role = "auth/aws", "app"
	if cfg.Type == "" {
		cfg.Type = "iam"
	}
	method := NewAWS(cfg)
	c := awsStandIn(t)
	method.sources.near, method.sources.sts, method.sources.metadata = c, c, instanceMetadata{c}
	return method
}

// identify does what a server does with a login of type iam: it sends the
// request on to STS, played by [verifySigV4].
func identify(t *testing.T, body map[string]any) (accessKey, address string, header http.Header) {
	t.Helper()
	text := func(key string) string {
		encoded, _ := body[key].(string)
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return string(decoded)
	}
	if err := json.Unmarshal([]byte(text("iam_request_headers")), &header); err != nil {
		t.Fatal(err)
	}
	request := text("iam_request_body")
	if body["iam_http_request_method"] != "POST" || request != "Action=GetCallerIdentity&Version=2011-06-15" {
		t.Errorf("the request is %v %q", body["iam_http_request_method"], request)
	}
	u, err := url.Parse(text("iam_request_url"))
	if err != nil {
		t.Fatal(err)
	}
	accessKey, err = verifySigV4("POST", u.Host, request, header, secrets)
	if err != nil {
		t.Fatalf("STS refuses the request: %v", err)
	}
	return accessKey, u.String(), header
}

func TestAWSCredentialsAreFoundWhereItsToolsLook(t *testing.T) {
	dir := t.TempDir()
	file := put(t, dir, "credentials", "# of the team\n[default]\naws_access_key_id = AKFILE\naws_secret_access_key=hunter2-file\n"+
		"\n[ team ]\naws_access_key_id=AKTEAM\n; old\naws_secret_access_key = hunter2-team\naws_session_token = session-team\n")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(home, ".aws"), "credentials", "[default]\naws_access_key_id=AKFILE\naws_secret_access_key=hunter2-file\n")
	web, pod := put(t, dir, "web", "web-token\n"), put(t, dir, "pod", "pod-token\n")
	keys := []string{"AWS_ACCESS_KEY_ID", "AKENV", "AWS_SECRET_ACCESS_KEY", "hunter2-env", "AWS_SESSION_TOKEN", "session-env"}
	tests := []struct {
		name    string
		cfg     AWSConfig
		env     []string
		want    string // access key
		session string
	}{
		{"the configuration before all", AWSConfig{AccessKey: "AKCONFIG", SecretKey: "hunter2-config"}, keys, "AKCONFIG", ""},
		{"the environment", AWSConfig{}, keys, "AKENV", "session-env"},
		{"a web identity, of EKS", AWSConfig{Region: "eu-west-1"},
			[]string{"AWS_WEB_IDENTITY_TOKEN_FILE", web, "AWS_ROLE_ARN", "arn:aws:iam::1:role/app"}, "AKWEB", "session-AKWEB"},
		{"the shared file", AWSConfig{}, []string{"AWS_SHARED_CREDENTIALS_FILE", file}, "AKFILE", ""},
		{"the shared file at home", AWSConfig{}, []string{"HOME", home}, "AKFILE", ""},
		{"a profile", AWSConfig{}, []string{"AWS_SHARED_CREDENTIALS_FILE", file, "AWS_PROFILE", "team"}, "AKTEAM", "session-team"},
		{"a container of ECS", AWSConfig{}, []string{"HOME", dir, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/task"}, "AKECS", "session-AKECS"},
		{"a pod identity of EKS", AWSConfig{}, []string{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod,
		}, "AKECS", "session-AKECS"},
		{"an instance", AWSConfig{}, nil, "AKEC2", "session-AKEC2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Getenv = env(test.env...)
			accessKey, _, header := identify(t, sent(t, newTestAWS(t, test.cfg), "auth/aws/login"))
			if accessKey != test.want || header.Get("X-Amz-Security-Token") != test.session {
				t.Errorf("signed by %s with the session %q, want %s with %q", accessKey, header.Get("X-Amz-Security-Token"), test.want, test.session)
			}
			if test.session != "" && !strings.Contains(header.Get("Authorization"), "x-amz-security-token") {
				t.Error("the session token is not signed")
			}
		})
	}
}

func TestAWSRegionsAndTheHeaderOfTheServer(t *testing.T) {
	tests := []struct{ region, address, scope string }{
		{"", "https://sts.amazonaws.com/", "/us-east-1/sts/"},
		{"us-east-1", "https://sts.amazonaws.com/", "/us-east-1/sts/"},
		{"eu-west-1", "https://sts.eu-west-1.amazonaws.com/", "/eu-west-1/sts/"},
		{"cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/", "/cn-north-1/sts/"},
	}
	for _, test := range tests {
		method := newTestAWS(t, AWSConfig{Region: test.region, HeaderValue: "vault.example", AccessKey: "AKCONFIG", SecretKey: "hunter2-config", Getenv: env()})
		body := sent(t, method, "auth/aws/login")
		_, address, header := identify(t, body)
		authorization := header.Get("Authorization")
		if address != test.address || !strings.Contains(authorization, test.scope) || body["role"] != "app" {
			t.Errorf("region %q: address %s, authorization %s, role %v", test.region, address, authorization, body["role"])
		}
		if header.Get("X-Vault-AWS-IAM-Server-ID") != "vault.example" || !strings.Contains(authorization, "x-vault-aws-iam-server-id") {
			t.Errorf("region %q: the header of the server is %q, signed are %s", test.region, header.Get("X-Vault-AWS-IAM-Server-ID"), authorization)
		}
	}
}

func TestAnInstanceSendsItsDocumentAndTheSameNonceEachTime(t *testing.T) {
	method := newTestAWS(t, AWSConfig{Type: "ec2", Getenv: env()})
	first := sent(t, method, "auth/aws/login")
	nonce, _ := first["nonce"].(string)
	if len(nonce) < 20 {
		t.Errorf("nonce %q can be guessed", nonce)
	}
	wantBody(t, first, map[string]string{"role": "app", "pkcs7": "MIIBCgKCAQEA", "nonce": nonce})
	wantBody(t, sent(t, method, "auth/aws/login"), map[string]string{"role": "app", "pkcs7": "MIIBCgKCAQEA", "nonce": nonce})
	method = newTestAWS(t, AWSConfig{Type: "ec2", Nonce: "mine", Getenv: env()})
	wantBody(t, sent(t, method, "auth/aws/login"), map[string]string{"role": "app", "pkcs7": "MIIBCgKCAQEA", "nonce": "mine"})
}

func TestAWSCredentialsThatCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	file := put(t, dir, "credentials", "[sso]\nsso_session = x\naws_secret_access_key = hunter2\n")
	web, missing := put(t, dir, "web", "hunter2"), filepath.Join(dir, "missing")
	tests := []struct {
		name string
		cfg  AWSConfig
		env  []string
		says []string
	}{
		{"half a key", AWSConfig{SecretKey: "hunter2"}, nil, []string{"access_key", "secret_key"}},
		{"a profile without keys", AWSConfig{}, []string{"AWS_SHARED_CREDENTIALS_FILE", file, "AWS_PROFILE", "sso"}, []string{file, "[sso]", "aws_access_key_id"}},
		{"a named file that is missing", AWSConfig{}, []string{"AWS_SHARED_CREDENTIALS_FILE", missing}, []string{missing}},
		{"a role that does not trust the token", AWSConfig{Region: "eu-west-1"}, []string{"AWS_WEB_IDENTITY_TOKEN_FILE", web, "AWS_ROLE_ARN", "arn:aws:iam::1:role/app"},
			[]string{"arn:aws:iam::1:role/app", "https://sts.eu-west-1.amazonaws.com/", "AccessDenied", "trust policy", web}},
		{"a token that is missing", AWSConfig{}, []string{"AWS_WEB_IDENTITY_TOKEN_FILE", missing, "AWS_ROLE_ARN", "r"}, []string{missing}},
		{"a container's endpoint elsewhere", AWSConfig{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.test/creds?key=hunter2", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2"},
			[]string{"http://evil.test/creds", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{"a container without authorization", AWSConfig{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2"},
			[]string{"http://169.254.170.23/v1/credentials", "403"}},
		{"metadata that is switched off", AWSConfig{}, []string{"AWS_EC2_METADATA_DISABLED", "true"}, []string{"AWS_EC2_METADATA_DISABLED", "AWS_ACCESS_KEY_ID"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Getenv = env(test.env...)
			if err := refused(t, newTestAWS(t, test.cfg), test.says...); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestAnInstanceThatIsNoneSaysWhatToDo(t *testing.T) {
	for kind, hint := range map[string]string{"iam": "AWS_ACCESS_KEY_ID", "ec2": `type = "iam"`} {
		method := newTestAWS(t, AWSConfig{Type: kind, Getenv: env()})
		method.sources.metadata = instanceMetadata{standIn(t, map[string]http.HandlerFunc{"169.254.169.254/": fails(404, "")})}
		refused(t, method, "http://169.254.169.254/latest/api/token", "404", hint, "hop limit")
	}
}

func TestAWSWatchesOnlyFilesThatCredentialsComeFrom(t *testing.T) {
	shared := env("AWS_SHARED_CREDENTIALS_FILE", "/credentials")
	if paths, every := newTestAWS(t, AWSConfig{Getenv: shared, Period: time.Minute}).Watched(); len(paths) != 1 || every != time.Minute {
		t.Errorf("watched = %q every %s, want the shared file every minute", paths, every)
	}
	if paths, _ := newTestAWS(t, AWSConfig{Getenv: shared, Type: "ec2"}).Watched(); len(paths) != 0 {
		t.Errorf("an instance watches %q", paths)
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add("[default]\naws_access_key_id=a\naws_secret_access_key=b\n", "default")
	f.Add("[a]\n[b\naws_session_token==", "b")
	f.Add("aws_access_key_id=a", "")
	f.Fuzz(func(t *testing.T, text, profile string) {
		c, found := parseProfile(text, profile)
		if c != (awsCredentials{}) && !found {
			t.Errorf("credentials of a profile that is not there: %q in %q", profile, text)
		}
		if strings.ContainsAny(c.accessKey+c.secretKey.Reveal()+c.sessionToken.Reveal(), "\n") {
			t.Errorf("a credential of several lines from %q", text)
		}
		for _, value := range []vault.Sensitive{vault.Sensitive(c.accessKey), c.secretKey, c.sessionToken} {
			if !strings.Contains(text, value.Reveal()) {
				t.Errorf("%q is not in %q", value.Reveal(), text)
			}
		}
	})
}
