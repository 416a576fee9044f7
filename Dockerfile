# A distroless, non-root image of one static binary.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -funcalign=16 -X main.version=${VERSION}" -o /out/gateway ./cmd/gateway && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/gateway /usr/local/bin/gateway
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 8080 9090
# Asks the admin port on loopback, 9090 unless the configuration says another one: then name it by --admin.
HEALTHCHECK --interval=10s --timeout=5s --start-period=1m CMD ["/usr/local/bin/gateway", "health"]
ENTRYPOINT ["/usr/local/bin/gateway"]
CMD ["serve", "--config", "/etc/sluice/sluice.yaml"]
