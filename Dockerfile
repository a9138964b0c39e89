# The agent and the client for pods, made to stand in for Vault's image with the
# Kubernetes injector (annotation vault.hashicorp.com/agent-image): that runs
#
#   /bin/sh -ec 'echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json'
#   /bin/sh -c '/bin/sleep 5 && /bin/vault token revoke -address=… -self'
#
# as user 100 of group 1000. docs/kubernetes.md says more.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY agent ./agent
COPY cli ./cli
COPY internal ./internal
COPY sink ./sink
COPY templates ./templates
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /securevault .

FROM busybox:stable
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /securevault /bin/securevault
COPY LICENSE /usr/share/licenses/securevault/LICENSE
RUN ln -s securevault /bin/vault \
 && addgroup -g 1000 vault \
 && adduser -D -u 100 -G vault -h /home/vault vault
# The client finds the agent's token in ~/.vault-token, whatever user a pod asks for.
ENV HOME=/home/vault
WORKDIR /home/vault
USER 100:1000
ENTRYPOINT ["/bin/securevault"]
CMD ["agent", "-help"]
