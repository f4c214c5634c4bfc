# The image has the program, the certificate authorities and nothing else: no
# shell, no package manager, no root. `docker-compose.yml` shows how to run it.

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOTOOLCHAIN=local go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/credence ./cmd/credence

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/credence /credence
# A number, so that Kubernetes' runAsNonRoot can see that it is not root.
USER 65532:65532
ENV CREDENCE_LISTEN=0.0.0.0:8080 \
    CREDENCE_METRICS_LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
# Is the process alive? Not whether Auth0 and Vault are: to start it anew would not mend those.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/credence", "healthcheck", "--url", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/credence"]
CMD ["server"]
