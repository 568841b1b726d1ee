package org.pytorch.serve.util;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Checks tokens in the place of TorchServe 0.12's class of this name, which comes behind this one in the class path.
 *
 * <p>TorchServe's own makes short tokens at every start, takes none, and knows one of each kind. This one reads those of
 * the key file, which lexport writes before it starts TorchServe. When they are rotated, those before them are taken for
 * a while as well.
 *
 * <p>There is no token for the token API, which would make short ones: it refuses everybody.
 */
public class TokenAuthorization {
    /** What a token is for; the names are TorchServe's. */
    public enum TokenType {
        INFERENCE,
        MANAGEMENT,
        TOKEN_API
    }

    /** A token and until when it is taken. */
    private static final class Accepted {
        private final byte[] key;
        private final Instant until;

        private Accepted(String key, Instant until) {
            this.key = key.getBytes(StandardCharsets.UTF_8);
            this.until = until;
        }
    }

    private static final Logger logger = LoggerFactory.getLogger(TokenAuthorization.class);
    private static final Pattern BEARER = Pattern.compile("Bearer\\s+(\\S+)");
    private static final Path KEYS = Path.of(System.getProperty("user.dir"), "key_file.json");
    private static final Path NEXT_KEYS = KEYS.resolveSibling("key_file.next.json");
    private static final TokenType[] KINDS = {TokenType.INFERENCE, TokenType.MANAGEMENT};

    private static volatile boolean enabled = true;
    /** The tokens of each kind, the newest first. */
    private static volatile Map<TokenType, List<Accepted>> accepted = Map.of();

    /** Read the key file; TorchServe calls this before it opens a port. */
    public static void init() {
        enabled = !ConfigManager.getInstance().getDisableTokenAuthorization();
        if (!enabled) {
            return;
        }
        try {
            accepted = read(KEYS);
        } catch (IOException | RuntimeException error) {
            System.err.println("The tokens cannot be read from " + KEYS + ": " + error);
            System.exit(1);
        }
    }

    /**
     * Take the tokens of a file beside the key file, put that file in the key file's place, and then refuse those that
     * it does not have: whoever reads the key file finds a token that is taken, at any moment.
     */
    public static synchronized void rotate() throws IOException {
        Map<TokenType, List<Accepted>> before = accepted;
        Map<TokenType, List<Accepted>> next = read(NEXT_KEYS);
        next.forEach((kind, tokens) -> endWith(tokens, before.get(kind)));
        Map<TokenType, List<Accepted>> both = new EnumMap<>(next);
        both.replaceAll((kind, tokens) -> together(tokens, before.get(kind)));
        accepted = both;
        try {
            Files.move(NEXT_KEYS, KEYS, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException error) {
            accepted = before;
            throw error;
        }
        accepted = next;
        for (TokenType kind : KINDS) {
            Accepted old = before.get(kind).get(0);
            if (!MessageDigest.isEqual(old.key, next.get(kind).get(0).key)) {
                logger.info("The {} token was rotated{}.", name(kind), taken(old, next.get(kind)));
            }
        }
    }

    public static Boolean isEnabled() {
        return enabled;
    }

    public static boolean checkTokenAuthorization(String token, TokenType kind) {
        byte[] given = token.getBytes(StandardCharsets.UTF_8);
        Instant now = Instant.now();
        boolean found = false;
        for (Accepted one : accepted.getOrDefault(kind, List.of())) {
            // Each is compared, so that every wrong token takes as long.
            found |= MessageDigest.isEqual(one.key, given) & now.isBefore(one.until);
        }
        return found;
    }

    public static String parseTokenFromBearerTokenHeader(String header) {
        Matcher matcher = BEARER.matcher(header);
        return matcher.matches() ? matcher.group(1) : "";
    }

    /** Return the tokens of a key file. Those that it names first last as long as the settings say. */
    private static Map<TokenType, List<Accepted>> read(Path file) throws IOException {
        JsonObject kinds = new Gson().fromJson(Files.readString(file), JsonObject.class);
        double seconds = ConfigManager.getInstance().getTimeToExpiration() * 60;
        Instant end = Instant.now().plusSeconds((long) seconds);
        Map<TokenType, List<Accepted>> found = new EnumMap<>(TokenType.class);
        for (TokenType kind : KINDS) {
            JsonObject given = kinds.getAsJsonObject(name(kind));
            List<Accepted> tokens = new ArrayList<>();
            tokens.add(new Accepted(given.get("key").getAsString(), end));
            for (JsonElement one : given.getAsJsonArray("former")) {
                JsonObject former = one.getAsJsonObject();
                long until = (long) (former.get("until").getAsDouble() * 1000);
                tokens.add(new Accepted(former.get("key").getAsString(), Instant.ofEpochMilli(until)));
            }
            found.put(kind, tokens);
        }
        return found;
    }

    /** Let no token last longer than it did: the newest if it is the newest still, and those before it. */
    private static void endWith(List<Accepted> tokens, List<Accepted> before) {
        for (int place = 0; place < tokens.size(); place++) {
            Accepted token = tokens.get(place);
            for (Accepted old : place == 0 ? before.subList(0, 1) : before) {
                if (MessageDigest.isEqual(old.key, token.key) && old.until.isBefore(token.until)) {
                    tokens.set(place, old);
                }
            }
        }
    }

    private static List<Accepted> together(List<Accepted> some, List<Accepted> others) {
        List<Accepted> all = new ArrayList<>(some);
        all.addAll(others);
        return all;
    }

    /** Say until when the token before the newest is taken; nothing if it is not. */
    private static String taken(Accepted old, List<Accepted> tokens) {
        if (tokens.size() == 1 || !MessageDigest.isEqual(old.key, tokens.get(1).key)) {
            return "";
        }
        Instant until = tokens.get(1).until;
        return "; the one before it is taken until " + until.truncatedTo(ChronoUnit.SECONDS);
    }

    private static String name(TokenType kind) {
        return kind.name().toLowerCase(Locale.ROOT);
    }
}
