import com.univocity.parsers.csv.CsvFormat;
import com.univocity.parsers.csv.CsvParser;
import com.univocity.parsers.csv.CsvParserSettings;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Dialects by UniVocity: a path and an encoding a line, apart by a tab; three code points a line, or nothing. */
public class Univocity {
    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] asked = line.split("\t");
            CsvParserSettings settings = new CsvParserSettings();
            settings.detectFormatAutomatically();
            settings.setMaxCharsPerColumn(-1);
            settings.setMaxColumns(100000);
            String answer = "";
            try {
                CsvParser parser = new CsvParser(settings);
                parser.beginParsing(new File(asked[0]), asked[1]);
                CsvFormat found = parser.getDetectedFormat();
                parser.stopParsing();
                StringBuilder delimiter = new StringBuilder();
                for (char sign : found.getDelimiterString().toCharArray()) {
                    delimiter.append(delimiter.length() > 0 ? "," : "").append((int) sign);
                }
                answer = delimiter + " " + (int) found.getQuote() + " " + (int) found.getQuoteEscape();
            } catch (RuntimeException refused) {
                answer = "";
            }
            System.out.println(answer);
            System.out.flush();
        }
    }
}
