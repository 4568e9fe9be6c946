# Build with all dependencies, run with the production ones only.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Scripts are off: the only one that would run is our own build, whose sources are not here yet.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
LABEL org.opencontainers.image.title="routstr-node" \
      org.opencontainers.image.description="A Nostr-native node that sells AI inference for ecash" \
      org.opencontainers.image.licenses="MIT"
# The configuration lies beside the data, so that one volume holds all that must be kept.
ENV NODE_ENV=production \
    ROUTSTR_CONFIG=/data/node.yaml \
    ROUTSTR_LISTEN__HOST=0.0.0.0
RUN groupadd --gid 10001 routstr && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin routstr \
    && install -d -o 10001 -g 10001 -m 0700 /data
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json relays.json LICENSE ./
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s --retries=3 CMD ["node", "dist/main.js", "health"]
ENTRYPOINT ["node", "--max-semi-space-size=32", "dist/main.js"]
CMD ["start"]
