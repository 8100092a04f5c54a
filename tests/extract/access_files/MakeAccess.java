// Writes the files of Access beside it, by the Java library Jackcess (com.healthmarketscience.jackcess:jackcess:4.0.8 with
// org.apache.commons:commons-lang3:3.14.0 and commons-logging:commons-logging:1.3.1, all of Maven Central):
//
//     java -cp jackcess-4.0.8.jar:commons-lang3-3.14.0.jar:commons-logging-1.3.1.jar MakeAccess.java FOLDER
//     xz FOLDER/old.mdb FOLDER/new.accdb

import com.healthmarketscience.jackcess.ColumnBuilder;
import com.healthmarketscience.jackcess.Column;
import com.healthmarketscience.jackcess.Cursor;
import com.healthmarketscience.jackcess.CursorBuilder;
import com.healthmarketscience.jackcess.DataType;
import com.healthmarketscience.jackcess.Database;
import com.healthmarketscience.jackcess.DatabaseBuilder;
import com.healthmarketscience.jackcess.IndexBuilder;
import com.healthmarketscience.jackcess.Row;
import com.healthmarketscience.jackcess.Table;
import com.healthmarketscience.jackcess.TableBuilder;
import java.io.File;
import java.math.BigDecimal;
import java.time.LocalDateTime;
import java.util.Arrays;

public class MakeAccess {
  static final String EDGES = "é\"\n,😀".repeat(3);

  public static void main(String[] arguments) throws Exception {
    make(new File(arguments[0], "old.mdb"), Database.FileFormat.V2000);
    make(new File(arguments[0], "new.accdb"), Database.FileFormat.V2019);
  }

  static void make(File file, Database.FileFormat format) throws Exception {
    file.delete();
    try (Database database = new DatabaseBuilder(file).setFileFormat(format).create()) {
      types(database, "every type", format == Database.FileFormat.V2019);
      types(database, "t", format == Database.FileFormat.V2019);
      orders(database);
      changed(database);
      if (format == Database.FileFormat.V2019) {
        calculated(database);
      }
      new TableBuilder("nothing").addColumn(new ColumnBuilder("a", DataType.TEXT)).toTable(database);
      database.createLinkedTable("far away", "C:\\elsewhere.mdb", "there");
    }
  }

  static IndexBuilder key(String... columns) {
    return new IndexBuilder(IndexBuilder.PRIMARY_KEY_NAME).addColumns(columns).setPrimaryKey();
  }

  static void types(Database database, String name, boolean newest) throws Exception {
    boolean numbered = name.equals("t");
    TableBuilder builder = new TableBuilder(name)
      .addColumn(new ColumnBuilder(numbered ? "place" : "id", DataType.LONG).setAutoNumber(true))
      .addColumn(new ColumnBuilder(numbered ? "c0" : "yes", DataType.BOOLEAN))
      .addColumn(new ColumnBuilder(numbered ? "c1" : "b", DataType.BYTE))
      .addColumn(new ColumnBuilder(numbered ? "c2" : "i", DataType.INT))
      .addColumn(new ColumnBuilder(numbered ? "c3" : "l", DataType.LONG))
      .addColumn(new ColumnBuilder(numbered ? "c4" : "m", DataType.MONEY))
      .addColumn(new ColumnBuilder(numbered ? "c5" : "f", DataType.FLOAT))
      .addColumn(new ColumnBuilder(numbered ? "c6" : "d", DataType.DOUBLE))
      .addColumn(new ColumnBuilder(numbered ? "c7" : "at", DataType.SHORT_DATE_TIME))
      .addColumn(new ColumnBuilder(numbered ? "c8" : "raw", DataType.BINARY).setLengthInUnits(200))
      .addColumn(new ColumnBuilder(numbered ? "c9" : "t", DataType.TEXT).setLengthInUnits(200))
      .addColumn(new ColumnBuilder(numbered ? "c10" : "squeezed", DataType.TEXT).setLengthInUnits(200).setCompressedUnicode(true))
      .addColumn(new ColumnBuilder(numbered ? "c11" : "o", DataType.OLE))
      .addColumn(new ColumnBuilder(numbered ? "c12" : "memo", DataType.MEMO).setCompressedUnicode(true))
      .addColumn(new ColumnBuilder(numbered ? "c13" : "g", DataType.GUID))
      .addColumn(new ColumnBuilder(numbered ? "c14" : "n", DataType.NUMERIC).setPrecision(28).setScale(10))
      .addColumn(new ColumnBuilder(numbered ? "c15" : "n0", DataType.NUMERIC).setPrecision(18).setScale(0));
    if (newest) {
      builder.addColumn(new ColumnBuilder(numbered ? "c16" : "big", DataType.BIG_INT)).addColumn(new ColumnBuilder(numbered ? "c17" : "fine", DataType.EXT_DATE_TIME));
    }
    if (!numbered) {
      builder.addIndex(key("id"));
    }
    Table table = builder.toTable(database);
    byte[] large = new byte[100_000];
    Arrays.fill(large, (byte) 7);
    Object[][] rows = {
      {Column.AUTO_NUMBER, true, 255, -32768, -2147483648, new BigDecimal("922337203685477.5807"), 0.1f,
        1.7976931348623157e308, LocalDateTime.of(9999, 12, 31, 23, 59, 59), new byte[] {0, (byte) 0xff, 10, 34}, EDGES,
        "abc" + EDGES + "def Привет xyz", large, "x".repeat(70_000) + EDGES, "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
        new BigDecimal("123456789012345678.0123456789"), new BigDecimal("999999999999999999")},
      {Column.AUTO_NUMBER, false, 0, 32767, 2147483647, new BigDecimal("-922337203685477.5808"), -3.4028235e38f, 0.1,
        LocalDateTime.of(100, 1, 1, 0, 0, 0), new byte[] {}, "", "", new byte[] {}, "",
        "{00000000-0000-0000-0000-000000000000}", new BigDecimal("-0.0000000001"), new BigDecimal("-1")},
      {Column.AUTO_NUMBER, false, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null},
      {Column.AUTO_NUMBER, true, 1, 1, 1, new BigDecimal("-1.5"), 1e-38f, 2.5e-308,
        LocalDateTime.of(1899, 12, 29, 18, 30, 15), new byte[] {1}, "0", "plain", "A".getBytes(), "y".repeat(3_000),
        "{00112233-4455-6677-8899-AABBCCDDEEFF}", new BigDecimal("1.5"), new BigDecimal("7")},
      {Column.AUTO_NUMBER, true, 1, 1, 1, new BigDecimal("0"), -0.0f, 9007199254740993.0,
        LocalDateTime.of(2013, 11, 3, 1, 30, 0, 500_000_000), new byte[] {1}, "  ", " b ", "A".getBytes(), "a\r\nb\\n",
        "{00112233-4455-6677-8899-AABBCCDDEEFF}", new BigDecimal("0"), new BigDecimal("0")},
    };
    for (int number = 0; number < rows.length; number++) {
      Object[] row = rows[number];
      if (newest) {
        row = Arrays.copyOf(row, row.length + 2);
        row[row.length - 2] = number == 2 ? null : number == 0 ? Long.MAX_VALUE : Long.MIN_VALUE;
        row[row.length - 1] = number == 2 ? null : LocalDateTime.of(2024, 2, 29, 12, 34, 56, 123_456_700 + 100 * number);
      }
      table.addRow(row);
    }
  }

  static void orders(Database database) throws Exception {
    Table table = new TableBuilder("Orders")
      .addColumn(new ColumnBuilder("OrderID", DataType.LONG))
      .addColumn(new ColumnBuilder("Customer E-mail", DataType.TEXT).setCompressedUnicode(true))
      .addColumn(new ColumnBuilder("updated_at", DataType.SHORT_DATE_TIME))
      .addIndex(key("OrderID")).toTable(database);
    for (int number = 1; number <= 3000; number++) {
      table.addRow(number, "p" + number + "@example.org", LocalDateTime.of(2024, 1, 1, 0, 0).plusMinutes(number));
    }
  }

  /** Rows that are gone, and rows that grew and moved to another page. */
  static void changed(Database database) throws Exception {
    Table table = new TableBuilder("changed")
      .addColumn(new ColumnBuilder("id", DataType.LONG)).addColumn(new ColumnBuilder("t", DataType.TEXT)).toTable(database);
    for (int number = 0; number < 500; number++) {
      table.addRow(number, "short");
    }
    Cursor cursor = CursorBuilder.createCursor(table);
    for (Row row : cursor) {
      int id = row.getInt("id");
      if (id % 5 == 0) {
        cursor.deleteCurrentRow();
      } else if (id % 7 == 0) {
        cursor.setCurrentRowValue(table.getColumn("t"), ("long " + id + " ").repeat(20));
      }
    }
  }

  static void calculated(Database database) throws Exception {
    Table table = new TableBuilder("sums")
      .addColumn(new ColumnBuilder("a", DataType.LONG)).addColumn(new ColumnBuilder("b", DataType.LONG))
      .addColumn(new ColumnBuilder("both", DataType.LONG).setCalculatedInfo("[a]+[b]")).toTable(database);
    table.addRow(1, 2, null);
  }
}
